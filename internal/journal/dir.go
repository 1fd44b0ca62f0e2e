package journal

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// Dir is where the journal of a service lies: dir, made absolute; or if that is
// "", selfheal in the first directory of $STATE_DIRECTORY, which systemd sets to
// those of StateDirectory=, with colons between. getenv is os.Getenv.
func Dir(dir string, getenv func(string) string) (string, error) {
	if dir != "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return "", fmt.Errorf("journal: make %s absolute: %w: give an absolute path", dir, err)
		}
		return abs, nil
	}
	state := getenv("STATE_DIRECTORY")
	if state == "" {
		return "", errors.New("journal: no directory was given and STATE_DIRECTORY is not set: set StateDirectory= in the systemd unit, or give a directory that outlives the process")
	}
	first, _, _ := strings.Cut(state, ":")
	if !filepath.IsAbs(first) {
		return "", fmt.Errorf("journal: STATE_DIRECTORY is %q, which does not begin with an absolute path: let systemd set it by StateDirectory=, or give a directory", state)
	}
	return filepath.Join(first, "selfheal"), nil
}
