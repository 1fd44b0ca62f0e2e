package incident

import (
	"time"
)

// samples are distances past the limit over the last minute or so, spaced so
// that few are enough.
type samples struct {
	n    int
	ring [14]sample
}

type sample struct {
	at  At
	far float64
}

const sampleEvery = 5 * time.Second

func (i *inc) sample(now At) {
	if !i.w.aboveSafe {
		return
	}
	s := &i.samples
	if s.n > 0 && now-s.ring[(s.n-1)%len(s.ring)].at < sampleEvery {
		return
	}
	s.ring[s.n%len(s.ring)] = sample{now, i.distance()}
	s.n++
}

// distance is how far past its limit the value is, whichever side that is;
// negative while hysteresis alone keeps the finding.
func (i *inc) distance() float64 {
	d := i.finding.Value - i.finding.Limit
	if i.below {
		return -d
	}
	return d
}

// growth is how fast the distance grew in the minute before now, a second.
func (s *samples) growth(now At, far float64) float64 {
	oldest := sample{now, far}
	for n := s.n - 1; n >= 0 && n >= s.n-len(s.ring); n-- {
		if x := s.ring[n%len(s.ring)]; now-x.at <= time.Minute {
			oldest = x
		}
	}
	if oldest.at == now {
		return 0
	}
	return (far - oldest.far) / (now - oldest.at).Seconds()
}
