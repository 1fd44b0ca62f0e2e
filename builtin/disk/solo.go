package disk

// solo does one piece of work that may hang in the kernel, on a goroutine of
// its own and never twice at once: a call on a dead mount cannot be cancelled,
// so all that can be done is not to wait for it and not to make another.
//
// Its methods are for one goroutine at a time.
type solo struct {
	body   func() // bound once: a closure a look would be garbage
	done   chan struct{}
	flying bool
}

func newSolo(work func()) *solo {
	s := &solo{done: make(chan struct{}, 1)}
	s.body = func() {
		work()
		s.done <- struct{}{}
	}
	return s
}

// begin starts the work, and is false while the work of an earlier begin still
// hangs. What such work brings in the end is dropped: it is too old to judge by.
func (s *solo) begin() bool {
	if s.flying && !s.landed() {
		return false
	}
	s.flying = true
	go s.body()
	return true
}

// landed says whether the work is done, without waiting.
func (s *solo) landed() bool {
	select {
	case <-s.done:
		s.flying = false
		return true
	default:
		return false
	}
}
