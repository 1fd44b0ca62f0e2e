package host

import (
	"errors"
	"io/fs"

	"github.com/selfheal-go/selfheal/internal/cgroup"
)

// findGroups is cgroup.Find in our words. A controller of "" means version 2 itself.
func findGroups(root, controller string) (cgroup.Groups, error) {
	groups, err := cgroup.Find(root, controller)
	if err != nil {
		return cgroup.Groups{}, unreadable(err)
	}
	return groups, nil
}

// missing says that a file is not there, and will not be: the kernel or the kind of
// group has no such thing.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, cgroup.ErrNone) || errors.Is(err, errors.ErrUnsupported)
}
