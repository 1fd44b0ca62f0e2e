package detect_test

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
)

// depths is a read function for both shapes of Keyed.
type depths struct {
	of  map[string]float64
	err error
}

func (d *depths) asMap(context.Context) (map[string]float64, error) { return d.of, d.err }

func (d *depths) asSeq(context.Context) (iter.Seq2[string, float64], error) {
	return maps.All(d.of), d.err
}

func bothShapes(t *testing.T, o detect.KeyedOptions[float64], test func(*testing.T, *depths, detect.Detector)) {
	t.Run("map", func(t *testing.T) {
		d := &depths{}
		o := o
		o.Map = d.asMap
		test(t, d, detect.Keyed(o))
	})
	t.Run("seq", func(t *testing.T) {
		d := &depths{}
		o := o
		o.Seq = d.asSeq
		test(t, d, detect.Keyed(o))
	})
}

func TestKeyedJudgesEachKey(t *testing.T) {
	bothShapes(t, detect.KeyedOptions[float64]{
		Level: detect.Level[float64]{Limit: 10, Clear: 5, Critical: 20, Unit: "jobs"},
		Levels: map[string]detect.Level[float64]{
			"mail":    {Limit: 1000},
			"workers": {Limit: 3, Below: true, Clear: 4},
		},
	}, func(t *testing.T, d *depths, det detect.Detector) {
		valid(t, det)
		d.of = map[string]float64{"a": 10, "mail": 1000, "workers": 3}
		assert.Empty(t, summaries(t, det))
		d.of = map[string]float64{"b": 11, "a": 21, "mail": 1001, "workers": 2}
		assert.Equal(t, []string{
			"a: 21 jobs is above 10", "b: 11 jobs is above 10", "mail: 1001 is above 1000", "workers: 2 is below 3",
		}, summaries(t, det))
		found, _ := det.Detect(context.Background())
		assert.Equal(t, detect.Critical, found[0].Severity)
		assert.Equal(t, detect.Warning, found[1].Severity)
		d.of = map[string]float64{"b": 7, "a": 4, "mail": 1000, "workers": 4, "new": 7}
		assert.Equal(t, []string{"b: 7 jobs is not yet below 5", "workers: 4 is not yet above 4"}, summaries(t, det))
		d.of = map[string]float64{"a": 7, "b": 7, "workers": 5}
		assert.Equal(t, []string{"b: 7 jobs is not yet below 5"}, summaries(t, det))
		d.of = map[string]float64{}
		assert.Empty(t, summaries(t, det), "a queue that is gone is not sick")
		d.of = map[string]float64{"b": 7}
		assert.Empty(t, summaries(t, det), "and forgotten")
	})
}

func TestKeyedBlindness(t *testing.T) {
	bothShapes(t, detect.KeyedOptions[float64]{Level: detect.Level[float64]{Limit: 10, Clear: 5}}, func(t *testing.T, d *depths, det detect.Detector) {
		d.of = map[string]float64{"a": 11, "b": 11, "c": 11}
		assert.Len(t, summaries(t, det), 3)

		d.of = map[string]float64{"a": math.NaN(), "b": 12, "z": math.Inf(1)}
		found, err := det.Detect(context.Background())
		require.Len(t, found, 1, "the others are judged: b is sick, c is gone")
		assert.Equal(t, "b", found[0].Key)
		assert.ErrorContains(t, err, `"a", "z"`)

		d.of, d.err = map[string]float64{"b": 4}, errDark
		found, err = det.Detect(context.Background())
		assert.ErrorIs(t, err, errDark)
		assert.Empty(t, found, "b was read and is well, a was not read")

		d.of, d.err = map[string]float64{"a": 7, "b": 7, "c": 7}, nil
		assert.Equal(t, []string{"a: 7 is not yet below 5"}, summaries(t, det), "blindness kept a, health cleared b")

		d.of, d.err = nil, errDark
		assert.ErrorIs(t, blind(t, det), errDark)
	})
}

func TestKeyedBoundsItsMemory(t *testing.T) {
	bothShapes(t, detect.KeyedOptions[float64]{MaxKeys: 2}, func(t *testing.T, d *depths, det detect.Detector) {
		d.of = map[string]float64{"b": 1, "c": 1}
		summaries(t, det)
		d.of = map[string]float64{"a": 1, "b": 1, "c": 1, "d": 1}
		found, err := det.Detect(context.Background())
		assert.ErrorContains(t, err, "and 2 more keys")
		require.Len(t, found, 2)
		assert.Equal(t, "b", found[0].Key, "those that were first stay")
	})
}

func TestKeyedDuration(t *testing.T) {
	d := detect.Keyed(detect.KeyedOptions[time.Duration]{
		Map: func(context.Context) (map[string]time.Duration, error) {
			return map[string]time.Duration{"q": time.Hour}, nil
		},
		Level: detect.Level[time.Duration]{Limit: time.Minute},
	})
	assert.Equal(t, detect.Finding{Key: "q", Summary: "1h0m0s is above 1m0s", Value: 3600, Limit: 60, Unit: "s"}, one(t, d))
}

func TestKeyedValidate(t *testing.T) {
	d := &depths{}
	assert.Contains(t, invalid(t, detect.Keyed(detect.KeyedOptions[float64]{})), "Map or a Seq")
	assert.Contains(t, invalid(t, detect.Keyed(detect.KeyedOptions[float64]{Map: d.asMap, Seq: d.asSeq})), "exactly one")
	msg := invalid(t, detect.Keyed(detect.KeyedOptions[float64]{
		Map: d.asMap, MaxKeys: -2, Level: detect.Level[float64]{Limit: 1, Clear: 2},
		Levels: map[string]detect.Level[float64]{"x": {Limit: math.NaN()}},
	}))
	for _, want := range []string{"MaxKeys", "Level of Keyed", `key "x"`} {
		assert.Contains(t, msg, want)
	}
}

// Each key behaves as a threshold of its own.
func TestKeyedProperty(t *testing.T) {
	bothShapes(t, detect.KeyedOptions[float64]{Level: detect.Level[float64]{Limit: 6, Clear: 3}}, func(t *testing.T, d *depths, det detect.Detector) {
		rng := rand.New(rand.NewPCG(3, 4))
		gauges, single := map[string]*gauge[float64]{}, map[string]detect.Detector{}
		for range 2000 {
			d.of = map[string]float64{}
			var want []string
			for k := range 4 {
				key := fmt.Sprint(k)
				if rng.IntN(5) == 0 { // gone
					delete(single, key)
					continue
				}
				if single[key] == nil {
					gauges[key] = &gauge[float64]{}
					single[key] = detect.Above(gauges[key].read, 6).ClearBelow(3)
				}
				v := float64(rng.IntN(10))
				d.of[key], gauges[key].v = v, v
				for _, s := range summaries(t, single[key]) {
					want = append(want, key+": "+s)
				}
			}
			slices.Sort(want)
			require.Equal(t, want, summaries(t, det))
		}
	})
}

func TestKeyedConcurrently(t *testing.T) {
	det := detect.Keyed(detect.KeyedOptions[int]{
		Seq: func(context.Context) (iter.Seq2[string, int], error) {
			return func(yield func(string, int) bool) {
				for k := range 20 {
					if !yield(fmt.Sprint(k), rand.IntN(10)) {
						return
					}
				}
			}, nil
		},
		Level: detect.Level[int]{Limit: 5, Clear: 2},
	})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 300 {
				found, err := det.Detect(context.Background())
				if err != nil || !slices.IsSortedFunc(found, func(a, b detect.Finding) int {
					if a.Key < b.Key {
						return -1
					}
					return 1
				}) {
					t.Error(found, err)
				}
			}
		})
	}
	wg.Wait()
}
