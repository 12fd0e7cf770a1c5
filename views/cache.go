package views

// cache has rows of groups by their keys, those that were used lately: in two generations, the older of which is forgotten when the
// younger is full.
type cache struct {
	most         int // bytes of a generation
	young, old   map[string][]byte
	youngBytes   int
	oldBytes     int
	hits, misses uint64
}

// entrySize is about what an entry takes beside its bytes.
const entrySize = 96

func newCache(bytes int) *cache {
	return &cache{most: bytes / 2, young: map[string][]byte{}}
}

// resize the cache to so many bytes. What doesn't fit any more is forgotten.
func (c *cache) resize(bytes int) {
	if c.most = bytes / 2; c.youngBytes > c.most || c.oldBytes > c.most {
		c.old, c.oldBytes = nil, 0
	}
	if c.youngBytes > c.most {
		c.young, c.youngBytes = map[string][]byte{}, 0
	}
}

// get a row, which is never changed. It is nil, true of a group that there is none of.
func (c *cache) get(key []byte) ([]byte, bool) {
	if row, ok := c.young[string(key)]; ok {
		c.hits++
		return row, true
	}
	row, ok := c.old[string(key)]
	if !ok {
		c.misses++
		return nil, false
	}
	c.hits++
	c.put(string(key), row)
	return row, true
}

// put a row, which isn't changed any more.
func (c *cache) put(key string, row []byte) {
	before, ok := c.young[key]
	if ok {
		c.youngBytes += len(row) - len(before)
	} else {
		c.youngBytes += len(key) + len(row) + entrySize
	}
	c.young[key] = row
	if c.youngBytes > c.most {
		c.old, c.oldBytes = c.young, c.youngBytes
		c.young, c.youngBytes = make(map[string][]byte, len(c.young)), 0
	}
}
