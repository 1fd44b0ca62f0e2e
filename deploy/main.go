package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	dir := flag.String("dir", ".", "the root of the repository")
	flag.Parse()
	if err := write(*dir); err != nil {
		fmt.Fprintln(os.Stderr, "deploy:", err)
		os.Exit(1)
	}
}

// files are what is generated, by path below the root of the repository.
func files() (map[string][]byte, error) {
	table, err := telemetry()
	if err != nil {
		return nil, err
	}
	board, err := dashboard()
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		"docs/telemetry.md":                   table,
		"deploy/grafana/selfheal.json":        board,
		"deploy/prometheus/selfheal.yml":      rulesYAML(),
		"deploy/prometheus/selfheal_test.yml": testsYAML(alerts),
		"deploy/prometheus/records_test.yml":  recordsYAML(),
	}, nil
}

func write(dir string) error {
	all, err := files()
	if err != nil {
		return err
	}
	for path, content := range all {
		path = filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
