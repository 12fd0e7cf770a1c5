package health

import "time"

const (
	// interval between checks of a healthy store.
	interval = 30 * time.Minute
	// timeout of a check.
	timeout = time.Minute
	// unused is how long a store is watched that nobody asks for.
	unused = time.Hour
	// patience is how many checks in a row fail before who waits is told.
	patience = 6
	// jitter is by which part a delay may be longer or shorter, so that brokers that
	// began together check apart.
	jitter = 0.2
)

// retries are the delays after the first failures in a row; the last is also that after
// all later ones.
var retries = []time.Duration{
	100 * time.Millisecond, time.Second, time.Second, 10 * time.Second, 10 * time.Second, 100 * time.Second,
}

// delay until the next check after so many failures in a row. Random is in [0, 1).
func delay(failures int, random float64) time.Duration {
	d := interval
	if failures > 0 {
		d = retries[min(failures, len(retries))-1]
	}
	return time.Duration(float64(d) * (1 - jitter + 2*jitter*random))
}
