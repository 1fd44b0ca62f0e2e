package outbox

// mutation names a planted bug. The simulator switches them on one by one, and each
// must be caught: a promise whose loss nobody notices is not tested.
type mutation uint8

const (
	mutNone mutation = iota
	mutRecordLate
	mutRefusedDropped
	mutNewID
	mutResolveLost
	mutNeverFreed
	mutOneStuckAll
)

// anyStuck is for mutOneStuckAll.
func (m *Machine) anyStuck() bool {
	for _, t := range m.targets {
		if t.stuck {
			return true
		}
	}
	return false
}
