package storage_test

import (
	"testing"

	"stampede/storage"
	"stampede/storage/storagetest"
)

func TestStore(t *testing.T) {
	t.Run("plain", func(t *testing.T) { storagetest.TestStore(t, storage.Open) })
}
