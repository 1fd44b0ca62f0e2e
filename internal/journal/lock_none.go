//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package journal

import "os"

const supported = false

func flock(*os.File) error { return ErrUnsupported }
