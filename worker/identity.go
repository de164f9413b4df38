package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
)

// Identity is who a worker is.
type Identity struct {
	TaskARN string
	Image   string // "sha256:…", the digest of the image it runs
}

// metadataVariable is where ECS puts the address of the task metadata endpoint (Amazon ECS task metadata endpoint
// version 4).
const metadataVariable = "ECS_CONTAINER_METADATA_URI_V4"

// How often, and for how long each time, the metadata endpoint is asked: it may answer late while a task starts.
const (
	metadataTries   = 6
	metadataTimeout = 5 * time.Second
	maxMetadata     = 1 << 20 // bytes
)

// Identify asks the task metadata endpoint.
func Identify(ctx context.Context, getenv func(string) string) (Identity, error) {
	uri := getenv(metadataVariable)
	if uri == "" {
		return Identity{}, fmt.Errorf("identify worker: %s is not set: a worker runs as an ECS task", metadataVariable)
	}
	var container struct{ ImageID string }
	if err := readMetadata(ctx, uri, &container); err != nil {
		return Identity{}, fmt.Errorf("identify worker: %w", err)
	}
	var task struct{ TaskARN string }
	if err := readMetadata(ctx, uri+"/task", &task); err != nil {
		return Identity{}, fmt.Errorf("identify worker: %w", err)
	}
	switch {
	case container.ImageID == "":
		return Identity{}, errors.New("identify worker: the task metadata has no ImageID")
	case task.TaskARN == "":
		return Identity{}, errors.New("identify worker: the task metadata has no TaskARN")
	}
	return Identity{TaskARN: task.TaskARN, Image: container.ImageID}, nil
}

func readMetadata(ctx context.Context, uri string, into any) error {
	var err error
	pause := firstPause
	for try := range metadataTries {
		if try > 0 {
			if stopped := sleep(ctx, pause); stopped != nil {
				return stopped
			}
			pause *= 2
		}
		if err = getJSON(ctx, uri, into); err == nil {
			return nil
		}
	}
	return err
}

func getJSON(ctx context.Context, uri string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return fmt.Errorf("read task metadata: %w", err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // never through a proxy
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("read task metadata: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("read task metadata: %s answered %s", uri, response.Status)
	}
	if err := json.UnmarshalRead(io.LimitReader(response.Body, maxMetadata), into); err != nil {
		return fmt.Errorf("read task metadata of %s: %w", uri, err)
	}
	return nil
}
