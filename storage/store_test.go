package storage_test

import (
	"testing"

	"stampede/storage/storagetest"
)

func TestStore(t *testing.T) {
	t.Run("plain", func(t *testing.T) { storagetest.TestStore(t, storagetest.Open) })
	t.Run("files", func(t *testing.T) { storagetest.TestFiles(t, storagetest.Open) })
}
