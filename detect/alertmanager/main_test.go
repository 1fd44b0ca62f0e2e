package alertmanager_test

import (
	"testing"

	"github.com/selfheal-go/selfheal/detect/internal/receivetest"
)

func TestMain(m *testing.M) { receivetest.Main(m) }
