package detect

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// appendNumber writes v as a person would: integers in full, fractions with six
// significant digits, durations with three. ref is what v is compared with in
// the same sentence: where fewer digits would move v onto or across it, all
// digits are written, because "5 is above 5" helps nobody.
func appendNumber[N Number](b []byte, v, ref N) []byte {
	if d, ok := any(v).(time.Duration); ok {
		r, _ := any(ref).(time.Duration)
		return append(b, shortDuration(d, r)...)
	}
	if isFloat[N]() {
		return appendFloat(b, float64(v), float64(ref))
	}
	if v < 0 {
		return strconv.AppendInt(b, int64(v), 10)
	}
	return strconv.AppendUint(b, uint64(v), 10)
}

func isFloat[N Number]() bool { one := N(1); return one/2 != 0 }

func isDuration[N Number]() bool {
	var zero N
	_, ok := any(zero).(time.Duration)
	return ok
}

// finite tells whether v can be compared. It goes through float64 so that one
// line serves every kind of number.
func finite[N Number](v N) bool {
	f := float64(v)
	return !math.IsNaN(f) && !math.IsInf(f, 0)
}

func appendFloat(b []byte, v, ref float64) []byte {
	abs := math.Abs(v)
	switch {
	case v == 0:
		return append(b, '0') // also for -0
	case v == math.Trunc(v) && abs < 1e15:
		return strconv.AppendFloat(b, v, 'f', 0, 64)
	}
	short := strconv.FormatFloat(v, 'g', 6, 64)
	exact := byte('g')
	if abs < 1e15 && abs >= 1e-6 {
		exact = 'f'
		short = strconv.FormatFloat(v, 'f', max(0, 5-int(math.Floor(math.Log10(abs)))), 64)
		if strings.Contains(short, ".") {
			short = strings.TrimRight(strings.TrimRight(short, "0"), ".")
		}
	}
	if rounded, err := strconv.ParseFloat(short, 64); err == nil && sameSide(v, rounded, ref) {
		return append(b, short...)
	}
	return strconv.AppendFloat(b, v, exact, -1, floatBits(v))
}

// appendTenths writes an estimate, which deserves no more than one decimal.
func appendTenths(b []byte, v, ref float64) []byte {
	if tenths := math.Round(v*10) / 10; sameSide(v, tenths, ref) {
		v = tenths
	}
	return appendFloat(b, v, ref)
}

// floatBits is 32 for a value that came from a float32, whose shortest form is
// then the one that its owner wrote.
func floatBits(v float64) int {
	if float64(float32(v)) == v {
		return 32
	}
	return 64
}

func sameSide(v, rounded, ref float64) bool {
	return (v > ref) == (rounded > ref) && (v < ref) == (rounded < ref)
}

// shortDuration cuts d to three significant digits of its largest unit, unless
// that would move it onto or across ref.
func shortDuration(d, ref time.Duration) string {
	abs := d
	if abs < 0 {
		abs = -abs // the smallest duration stays negative and is written in full
	}
	step := time.Duration(1)
	switch {
	case abs >= 10*time.Minute:
		step = time.Second
	case abs >= 10*time.Second:
		step = 100 * time.Millisecond
	case abs >= time.Second:
		step = 10 * time.Millisecond
	case abs >= time.Millisecond:
		step = 10 * time.Microsecond
	}
	if short := d.Truncate(step); (short > ref) == (d > ref) && (short < ref) == (d < ref) {
		d = short
	}
	return d.String()
}

// shortSpan writes a whole span without its zero parts: 5m, 6h, 3d.
func shortSpan(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// oneLine folds what an error says into one line of bounded length, because a
// summary is read on a telephone.
func oneLine(s string) string {
	const most = 500
	if strings.ContainsAny(s, "\r\n") {
		s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
	}
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + " …"
	}
	return s
}

// someOf lists the first few of many names.
func someOf(names []string) string {
	const most = 10
	var b strings.Builder
	for i, name := range names {
		if i == most {
			b.WriteString(" and " + strconv.Itoa(len(names)-most) + " more")
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strconv.Quote(name))
	}
	return b.String()
}
