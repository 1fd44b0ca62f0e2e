package detect

// burnAlarm judges one pair of windows.
type burnAlarm struct {
	window      BurnWindow
	factor      float64
	name        string
	long, short history
	raised      bool

	burn, burnShort float64 // of the last judgement,
	bad, all        float64 // and what it was made of
}

type burnVerdict uint8

const (
	calm burnVerdict = iota
	burning
	unknowable
)

func (a *burnAlarm) judge(now totals, b *Burn) burnVerdict {
	all, bad, covered := a.long.increase(now)
	bad = min(bad, all)
	a.all, a.bad, a.burn, a.burnShort = all, bad, 0, 0
	// The half keeps an event that the interpolation at the edge of the window
	// cut in two from counting as missing.
	if covered <= 0 || all+0.5 < b.minAll || bad+0.5 < b.minBad {
		a.raised = false
		return calm
	}
	a.burn = bad / all / b.budget * float64(covered) / float64(a.window.Long)
	if !(a.burn > a.factor) {
		a.raised = false
		return calm
	}
	all, bad, _ = a.short.increase(now)
	if all <= 0 {
		if a.raised {
			return unknowable
		}
		return calm
	}
	a.burnShort = min(bad, all) / all / b.budget
	a.raised = a.burnShort > a.factor
	if a.raised {
		return burning
	}
	return calm
}
