package detect_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
)

func TestConfirmCountsLooks(t *testing.T) {
	s := healthy()
	d := detect.Confirm(detect.ConfirmOptions{Detector: s, N: 2, Of: 3})
	valid(t, d)
	for i, c := range []struct {
		say  *script
		want string
	}{
		{sick("a"), ""},
		{sick("a"), "a"},
		{sick("a", "b"), "a"}, // b is new
		{healthy(), ""},       // gone now is gone, however it was
		{sick("a"), "a"},
		{healthy(), ""},
		{healthy(), ""},
		{sick("a"), ""}, // the old looks are forgotten
		{unsure(), "blind"},
		{unsure(), "blind"},
		{sick("a"), "a"}, // blind looks did not count
		{healthy(), ""},
		{unsure("a"), "a + blind"}, // but what they name does
	} {
		s.found, s.err = c.say.found, c.say.err
		assert.Equal(t, c.want, outcome(t, d), "look %d", i)
	}
}

func TestConfirmDefaults(t *testing.T) {
	seen := func(o detect.ConfirmOptions, looks int) (confirmed []int) {
		o.Detector = sick("a")
		d := detect.Confirm(o)
		valid(t, d)
		for i := 1; i <= looks; i++ {
			if outcome(t, d) != "" {
				confirmed = append(confirmed, i)
			}
		}
		return confirmed
	}
	assert.Equal(t, []int{3, 4}, seen(detect.ConfirmOptions{}, 4))
	assert.Equal(t, []int{2, 3}, seen(detect.ConfirmOptions{N: 2}, 3))
	assert.Equal(t, []int{1}, seen(detect.ConfirmOptions{N: 1}, 1))
	assert.Equal(t, []int{64, 65}, seen(detect.ConfirmOptions{N: 64, Of: 64}, 65))
}

// A key that is named twice in one look was still found in one look.
func TestConfirmCountsALookOnce(t *testing.T) {
	d := detect.Confirm(detect.ConfirmOptions{Detector: sick("a", "a"), N: 2})
	assert.Equal(t, "", outcome(t, d))
}

// Against the plainest account of it: a list of looks for each key.
func TestConfirmProperty(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		n := 1 + rng.IntN(5)
		of := n + rng.IntN(5)
		s := healthy()
		d := detect.Confirm(detect.ConfirmOptions{Detector: s, N: n, Of: of})
		looks := map[string][]bool{}
		for range 100 {
			s.found, s.err = nil, nil
			if rng.IntN(4) == 0 {
				s.err = errDark
			}
			var want []string
			for k := range 3 {
				key := fmt.Sprint(k)
				present := rng.IntN(2) == 0
				if present {
					s.found = append(s.found, detect.Finding{Key: key})
				}
				if present || s.err == nil {
					looks[key] = append(looks[key], present)
				}
				count := 0
				for _, was := range looks[key][max(0, len(looks[key])-of):] {
					if was {
						count++
					}
				}
				if present && count >= n {
					want = append(want, key)
				}
			}
			found, err := d.Detect(context.Background())
			require.Equal(t, s.err, err)
			var got []string
			for _, f := range found {
				got = append(got, f.Key)
			}
			require.Equal(t, want, got)
		}
	}
}

func TestConfirmLeavesTheInnerAnswerAlone(t *testing.T) {
	s := sick("a", "b")
	d := detect.Confirm(detect.ConfirmOptions{Detector: s, N: 2})
	outcome(t, d)
	s.found = append(s.found, detect.Finding{Key: "c"})
	before := slices.Clone(s.found)
	assert.Equal(t, "a b", outcome(t, d))
	assert.Equal(t, before, s.found)
}
