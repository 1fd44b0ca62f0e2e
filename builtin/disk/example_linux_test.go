package disk_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/builtin/disk"
	"github.com/selfheal-go/selfheal/escalate"
)

// What a service installs, and what it gets.
func Example() {
	module := disk.Module(disk.Options{
		Paths:   []string{"/"},
		Clean:   disk.JanitorOptions{Dirs: []string{"/var/cache/shop"}},
		Logs:    disk.LogOptions{Files: []string{"/var/log/shop/shop.log"}},
		Ballast: disk.BallastOptions{Path: "/var/lib/shop/ballast"},
	})
	heal := selfheal.New(selfheal.Options{Escalate: escalate.To(escalate.Log(nil))})
	heal.Install(module)
	fmt.Println(heal.Validate())
	for _, w := range module.Watches {
		fmt.Print(w.Name, " after ", w.After, ":")
		for _, s := range w.Playbook.Steps {
			fmt.Print(" ", s.Name)
		}
		fmt.Println()
	}
	// Output:
	// <nil>
	// space-low after [space]: compress-logs
	// space after []: compress-logs clean release-ballast
	// inodes-low after [inodes]:
	// inodes after []: clean
	// deleted after []:
}

// A plan lists what a run would remove.
func ExampleJanitor_Plan() {
	dir, err := os.MkdirTemp("", "selfheal-example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		fmt.Println(err)
		return
	}
	for i, name := range []string{"monday", "tuesday", "wednesday"} {
		path := filepath.Join(dir, name)
		_ = os.WriteFile(path, make([]byte, 4096), 0o600)
		at := time.Date(2026, 1, 5+i, 0, 0, 0, 0, time.UTC)
		_ = os.Chtimes(path, at, at)
	}
	janitor := disk.NewJanitor(disk.JanitorOptions{Dirs: []string{dir}, Keep: 1})
	plan, err := janitor.Plan(context.Background())
	for _, r := range plan.Removed {
		fmt.Printf("%q %d bytes\n", filepath.Base(r.Path), r.Bytes)
	}
	fmt.Println(plan, err)
	// Output:
	// "monday" 4096 bytes
	// "tuesday" 4096 bytes
	// 2 files, 8.0 KiB; left: 1 kept as the newest <nil>
}
