package cache

import (
	"context"
	"iter"
	"slices"
	"strings"

	"spate/internal/objects"
)

// listing is fakeObjects with what is asked of a whole bucket. Each hook, when set, is asked before the request.
type listing struct {
	*fakeObjects
	pageSize int
	get      func(key string)
	head     func(key string) error
	pages    func(prefix string) error // before each page; called concurrently
}

func newListing(o *fakeObjects) *listing { return &listing{fakeObjects: o, pageSize: 10} }

func (l *listing) Get(ctx context.Context, key string) ([]byte, objects.Info, error) {
	data, info, err := l.fakeObjects.Get(ctx, key)
	if l.get != nil {
		l.get(key) // once it is read
	}
	return data, info, err
}

func (l *listing) Head(ctx context.Context, key string) (objects.Info, error) {
	if l.head != nil {
		if err := l.head(key); err != nil {
			return objects.Info{}, err
		}
	}
	return l.fakeObjects.Head(ctx, key)
}

func (l *listing) Pages(_ context.Context, prefix, after string) iter.Seq2[[]objects.Info, error] {
	return func(yield func([]objects.Info, error) bool) {
		for {
			if l.pages != nil {
				if err := l.pages(prefix); err != nil {
					yield(nil, err)
					return
				}
			}
			page := l.page(prefix, after)
			if !yield(page, nil) || len(page) < l.pageSize {
				return
			}
			after = page[len(page)-1].Key
		}
	}
}

func (l *listing) page(prefix, after string) []objects.Info {
	l.mu.Lock()
	defer l.mu.Unlock()
	var infos []objects.Info
	for key, o := range l.objects {
		if strings.HasPrefix(key, prefix) && key > after {
			infos = append(infos, objects.Info{Key: key, Size: int64(len(o.data)), LastModified: o.modified})
		}
	}
	slices.SortFunc(infos, func(a, b objects.Info) int { return strings.Compare(a.Key, b.Key) })
	return infos[:min(len(infos), l.pageSize)]
}
