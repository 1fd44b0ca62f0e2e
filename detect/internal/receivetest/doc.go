// Package receivetest is the suite that every receiver of alerts must pass: what
// issue after issue has shown to go wrong between monitoring and whoever acts on
// it. Only tests of the receivers import it.
package receivetest
