package disk

import "context"

// sizeOf sums the blocks of the files in dir. whole is false when ctx ended first.
func sizeOf(ctx context.Context, dir string) (bytes int64, whole bool, err error) {
	p, err := openPlace(dir)
	if err != nil {
		return 0, false, err
	}
	defer p.close()
	err = each(ctx, p.file, func(name string) error {
		if n, err := nodeAt(p.fd(), name); err == nil && n.regular() {
			bytes += n.held
		}
		return nil
	})
	if err != nil && ctx.Err() != nil {
		return bytes, false, nil
	}
	return bytes, true, err
}
