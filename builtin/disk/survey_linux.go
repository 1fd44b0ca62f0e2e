package disk

import "context"

// sizeOf counts the files in dir and sums their blocks. whole is false when ctx
// ended first.
func sizeOf(ctx context.Context, dir string) (all sum, whole bool, err error) {
	p, err := openPlace(dir)
	if err != nil {
		return all, false, err
	}
	defer p.close()
	err = each(ctx, p.file, func(name string) error {
		if n, err := nodeAt(p.fd(), name); err == nil && n.regular() {
			all.files++
			all.bytes += n.held
		}
		return nil
	})
	if err != nil && ctx.Err() != nil {
		return all, false, nil
	}
	return all, true, err
}
