//go:build !linux

package journal

import "time"

func bootID() BootID { return BootID{} }

func sinceBoot() time.Duration { return 0 }
