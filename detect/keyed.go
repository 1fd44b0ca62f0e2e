package detect

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
)

// A Level is the threshold of one key, or of all keys, of [Keyed].
type Level[N Number] struct {
	// Limit is the value beyond which is sick. A value equal to it is healthy.
	Limit N
	// Below makes it a lower limit: values less than Limit are sick.
	Below bool
	// Clear is the value beyond which, on the healthy side, a key heals: below
	// it for an upper limit, above it for a lower one. 0 means at Limit.
	Clear N
	// Critical is the value beyond which a finding is Critical. 0 means never.
	Critical N
	// Unit names what is counted; for a [time.Duration] see [Threshold.Unit].
	Unit string
}

func (l Level[N]) level() level[N] {
	return level[N]{
		limit: l.Limit, below: l.Below, unit: l.Unit,
		clear: l.Clear, hasClear: l.Clear != 0,
		critical: l.Critical, hasCritical: l.Critical != 0,
	}
}

// KeyedOptions is for [Keyed].
type KeyedOptions[N Number] struct {
	// Map returns the value of every key. Values that come beside an error are
	// believed; the keys that are missing are then unknown. Exactly one of Map
	// and Seq is required.
	Map func(ctx context.Context) (map[string]N, error)
	// Seq is like Map but returns a sequence, which needs no map to be built
	// at each look. It yields each key once.
	Seq func(ctx context.Context) (iter.Seq2[string, N], error)
	// Level is the threshold of the keys that Levels does not name.
	Level Level[N]
	// Levels are the thresholds of single keys.
	Levels map[string]Level[N]
	// MaxKeys is how many sick keys are remembered and reported. 0 means 10,000,
	// -1 no limit.
	MaxKeys int
}

// Keyed returns a detector that compares the value of each key with a threshold,
// as [Above] and [Below] do for one, with hysteresis for each key, and returns
// one finding a sick key, sorted by key.
//
// A key that is gone is healthy and forgotten; memory is needed for sick keys
// only. A value that is NaN or infinite makes its key blind, not the others:
// Detect returns their findings beside an error that names it. Beyond MaxKeys
// sick keys, those that were sick first stay and the error says how many more
// there are. Safe for concurrent use.
func Keyed[N Number](o KeyedOptions[N]) Detector {
	k := &keyed[N]{byMap: o.Map, bySeq: o.Seq, level: o.Level.level(), most: o.MaxKeys}
	if k.most == 0 {
		k.most = 10_000
	}
	if len(o.Levels) > 0 {
		k.levels = make(map[string]*level[N], len(o.Levels))
		for key, l := range o.Levels {
			own := l.level()
			k.levels[key] = &own
		}
	}
	k.problem = k.check()
	return k
}

type keyed[N Number] struct {
	byMap   func(context.Context) (map[string]N, error)
	bySeq   func(context.Context) (iter.Seq2[string, N], error)
	level   level[N]
	levels  map[string]*level[N]
	most    int
	problem error
	spares  spares[N]
	alarms  alarms[N]
}

func (k *keyed[N]) check() error {
	var errs []error
	if (k.byMap == nil) == (k.bySeq == nil) {
		errs = append(errs, errors.New("detect: Keyed needs a Map or a Seq function: give it exactly one"))
	}
	if k.most < -1 {
		errs = append(errs, fmt.Errorf("detect: MaxKeys of Keyed is %d: use a positive number, or -1 for no limit", k.most))
	}
	if err := k.level.problem(); err != nil {
		errs = append(errs, fmt.Errorf("detect: Level of Keyed: %w", err))
	}
	for _, key := range slices.Sorted(maps.Keys(k.levels)) {
		if err := k.levels[key].problem(); err != nil {
			errs = append(errs, fmt.Errorf("detect: the level of key %q of Keyed: %w", key, err))
		}
	}
	return errors.Join(errs...)
}

func (k *keyed[N]) Validate() error { return k.problem }

func (k *keyed[N]) levelOf(key string) *level[N] {
	if l, ok := k.levels[key]; ok {
		return l
	}
	return &k.level
}

func (k *keyed[N]) Detect(ctx context.Context) ([]Finding, error) {
	if k.problem != nil {
		return nil, k.problem
	}
	s := k.spares.take(k)
	// After a panic of the given function s is dropped, not kept half filled.
	err := s.read(ctx)
	found, more := k.alarms.judge(k, s, err == nil)
	err = s.errors(err, more)
	k.spares.give(s)
	return found, err
}

// errors says for which keys the look was blind.
func (s *scan[N]) errors(err error, more int) error {
	if err == nil && len(s.blind) == 0 && more == 0 {
		return nil
	}
	var errs []error
	if err != nil {
		errs = append(errs, fmt.Errorf("detect: read: %w", err))
	}
	if len(s.blind) > 0 {
		slices.Sort(s.blind)
		errs = append(errs, errors.New("detect: read no finite number for "+someOf(s.blind)))
	}
	if more > 0 {
		errs = append(errs, errors.New("detect: and "+strconv.Itoa(more)+" more keys are sick than MaxKeys allows to report"))
	}
	return errors.Join(errs...)
}
