package remediate

// Fleet grants permission to act across replicas: slots with a lease, an
// ordered fencing token and a deadline on the local monotonic clock.
//
// It is sealed until the first implementation sets its shape. Without a fleet
// every step whose scope is Peer or Shared is held, and people are told.
type Fleet interface{ fleet() }
