//go:build !linux

package evidence

import (
	"context"
	"io"
	"runtime"
)

func writeSystem(context.Context, string, io.Writer) error {
	return absent("pressure and control groups are of Linux, and this is %s", runtime.GOOS)
}
