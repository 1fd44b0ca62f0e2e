package evidence

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

func writeSystem(ctx context.Context, root string, w io.Writer) error {
	dir, err := os.OpenRoot(root)
	if err != nil {
		return absent("%v: give Options.Root the place where proc and sys lie", err)
	}
	defer dir.Close()
	return systemText(ctx, func(name string) (string, error) { return readSmall(dir, name) }, w)
}

func readSmall(dir *os.Root, name string) (string, error) {
	// What is not a file, such as a pipe, must not be waited for.
	f, err := dir.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("/%s: this kernel or control group has none", name)
	}
	if err != nil {
		return "", fmt.Errorf("/%s: %w", name, err)
	}
	defer f.Close()
	if s, err := f.Stat(); err != nil || !s.Mode().IsRegular() {
		return "", fmt.Errorf("/%s: it is no file", name)
	}
	text, err := io.ReadAll(io.LimitReader(f, mostSystem))
	if err != nil {
		return "", fmt.Errorf("/%s: %w", name, err)
	}
	return string(text), nil
}
