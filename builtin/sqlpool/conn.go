package sqlpool

import (
	"context"
	"database/sql/driver"
	"errors"
)

// What drivers of old have instead of the methods with a context. The interfaces of
// package driver by these names are deprecated, not the drivers.
type (
	oldExecer interface {
		Exec(string, []driver.Value) (driver.Result, error)
	}
	oldQueryer interface {
		Query(string, []driver.Value) (driver.Rows, error)
	}
	oldBeginer interface{ Begin() (driver.Tx, error) }
)

// conn has every optional method of a connection. Where the driver lacks one it
// does what database/sql does without it, which is what package database/sql/driver
// documents for that method.

// Ping implements driver.Pinger.
func (c *conn) Ping(ctx context.Context) error {
	p, ok := c.inner.(driver.Pinger)
	if !ok {
		return nil
	}
	ctx, o, err := c.enter(ctx)
	if err != nil {
		return err
	}
	return c.leave(o, p.Ping(ctx))
}

// ExecContext implements driver.ExecerContext.
func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (res driver.Result, err error) {
	e, ok := c.inner.(driver.ExecerContext)
	old, isOld := c.inner.(oldExecer)
	if !ok && !isOld {
		return nil, driver.ErrSkip
	}
	ctx, o, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	if ok {
		res, err = e.ExecContext(ctx, query, args)
	} else {
		res, err = withValues(ctx, args, func(v []driver.Value) (driver.Result, error) { return old.Exec(query, v) })
	}
	return res, c.leave(o, err)
}

// QueryContext implements driver.QueryerContext.
func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (r driver.Rows, err error) {
	q, ok := c.inner.(driver.QueryerContext)
	old, isOld := c.inner.(oldQueryer)
	if !ok && !isOld {
		return nil, driver.ErrSkip
	}
	ctx, o, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	if ok {
		r, err = q.QueryContext(ctx, query, args)
	} else {
		r, err = withValues(ctx, args, func(v []driver.Value) (driver.Rows, error) { return old.Query(query, v) })
	}
	return c.rows(o, r, err)
}

// Prepare implements driver.Conn. database/sql calls PrepareContext.
func (c *conn) Prepare(query string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

// PrepareContext implements driver.ConnPrepareContext.
func (c *conn) PrepareContext(ctx context.Context, query string) (s driver.Stmt, err error) {
	ctx, o, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	if p, ok := c.inner.(driver.ConnPrepareContext); ok {
		s, err = p.PrepareContext(ctx, query)
	} else if s, err = c.inner.Prepare(query); err == nil && ctx.Err() != nil {
		_ = s.Close() // nobody waits for it any more
		err = ctx.Err()
	}
	if err = c.leave(o, err); err != nil {
		return nil, err
	}
	return newStmt(c, s), nil
}

// Begin implements driver.Conn. database/sql calls BeginTx.
func (c *conn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

// BeginTx implements driver.ConnBeginTx. Drivers may keep ctx until the end of the
// transaction, so it lives that long.
func (c *conn) BeginTx(ctx context.Context, opts driver.TxOptions) (x driver.Tx, err error) {
	b, ok := c.inner.(driver.ConnBeginTx)
	switch {
	case ok:
	case opts.Isolation != 0:
		return nil, errors.New("sqlpool: the driver does not support non-default isolation levels")
	case opts.ReadOnly:
		return nil, errors.New("sqlpool: the driver does not support read-only transactions")
	}
	ctx, o, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	if ok {
		x, err = b.BeginTx(ctx, opts)
	} else if x, err = oldBeginer(c.inner).Begin(); err == nil && ctx.Err() != nil {
		_ = x.Rollback()
		err = ctx.Err()
	}
	if err != nil {
		return nil, c.leave(o, err)
	}
	c.keep(o)
	return &tx{c, x, o}, nil
}

// ResetSession implements driver.SessionResetter: the connection is checked out.
func (c *conn) ResetSession(ctx context.Context) error {
	if !c.checkout(ctx) {
		return driver.ErrBadConn
	}
	r, ok := c.inner.(driver.SessionResetter)
	if !ok {
		return nil
	}
	ctx, o, err := c.enter(ctx)
	if err != nil {
		return err
	}
	return c.leave(o, r.ResetSession(ctx))
}

// IsValid implements driver.Validator: the connection is returned.
func (c *conn) IsValid() bool {
	valid := true
	if v, ok := c.inner.(driver.Validator); ok && c.enterPlain() == nil {
		valid = v.IsValid()
		_ = c.leave(nil, nil)
	}
	return c.release() && valid
}

// CheckNamedValue implements driver.NamedValueChecker.
func (c *conn) CheckNamedValue(v *driver.NamedValue) error {
	n, ok := c.inner.(driver.NamedValueChecker)
	if !ok {
		return driver.ErrSkip
	}
	if err := c.enterPlain(); err != nil {
		return err
	}
	err := n.CheckNamedValue(v)
	_ = c.leave(nil, nil)
	return err
}

// Close implements driver.Conn.
func (c *conn) Close() error {
	c.t.forget(c)
	owed, open := c.end()
	if owed {
		defer c.t.limit.takeBack()
	}
	if !open {
		return nil
	}
	return c.inner.Close()
}

// withValues is a call of a driver that knows neither names nor contexts.
func withValues[T any](ctx context.Context, named []driver.NamedValue, call func([]driver.Value) (T, error)) (none T, err error) {
	values := make([]driver.Value, len(named))
	for i, v := range named {
		if v.Name != "" {
			return none, errors.New("sqlpool: the driver does not support named parameters")
		}
		values[i] = v.Value
	}
	if ctx.Err() != nil {
		return none, ctx.Err()
	}
	return call(values)
}
