package pagerduty_test

import (
	"testing"

	"github.com/selfheal-go/selfheal/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }
