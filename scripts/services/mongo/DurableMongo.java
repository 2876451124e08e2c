// Of this package because the class of its indexes is to be had nowhere else.
package de.bwaldvogel.mongo.backend.h2;

import de.bwaldvogel.mongo.MongoDatabase;
import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.Index;
import de.bwaldvogel.mongo.backend.IndexKey;
import de.bwaldvogel.mongo.backend.CursorRegistry;
import de.bwaldvogel.mongo.backend.KeyValue;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.wire.message.MongoMessage;
import java.util.List;
import org.h2.mvstore.MVMap;
import org.h2.mvstore.MVStore;

/**
 * mongo-java-server, with what it lacks of a MongoDB that is asked for `j: true`: what was acknowledged is in its file.
 *
 * By itself the file is written once a second, perhaps in the middle of a command, and answers are encoded while the
 * next command changes the same documents in place. So here one command runs at a time, its answer is a copy, and the
 * file is written before the answer goes out. `kill -9` loses nothing then; a power cut may (there is no fsync).
 * And a unique index serves each query that names its fields among others, not only those that name nothing else.
 *
 * Arguments: port, file.
 */
public final class DurableMongo {
  public static void main(String[] args) {
    MVStore store = new MVStore.Builder().fileName(args[1]).autoCommitDisabled().autoCommitBufferSize(0).open();
    // Space of old versions is used again at once: nobody reads them.
    store.setVersionsToKeep(0);
    store.setRetentionTime(0);
    H2Backend backend = new H2Backend(store) {
      @Override
      public synchronized Document handleMessage(MongoMessage message) {
        try {
          return super.handleMessage(message).cloneDeeply();
        } finally {
          if (store.hasUnsavedChanges()) store.commit();
        }
      }

      @Override
      protected MongoDatabase openOrCreateDatabase(String name) {
        return openDatabase(name, store, getCursorRegistry());
      }
    };
    backend.version(new Version());
    MongoServer server = new MongoServer(backend);
    Runtime.getRuntime().addShutdownHook(new Thread(server::shutdownNow));
    server.bind("127.0.0.1", Integer.parseInt(args[0]));
  }

  private static MongoDatabase openDatabase(String database, MVStore store, CursorRegistry cursors) {
    // The constructor opens indexes already, so what that needs is captured and no field.
    return new H2Database(database, store, cursors) {
      @Override
      protected Index<Object> openOrCreateUniqueIndex(
          String collection, String name, List<IndexKey> keys, boolean sparse) {
        MVMap<KeyValue, Object> map = store.openMap(database + "." + collection + "._index_" + name);
        return new H2UniqueIndex(map, name, keys, sparse) {
          @Override
          public boolean canHandle(Document query) {
            Document own = new Document();
            for (String key : keys()) if (query.containsKey(key)) own.put(key, query.get(key));
            return super.canHandle(own);
          }
        };
      }
    };
  }

  /** It speaks the protocol of 4.4 as far as Pebbles does, but says 4.2, which today's drivers refuse. */
  private static final class Version implements MongoVersion {
    @Override
    public List<Integer> getVersionArray() {
      return List.of(4, 4, 0);
    }

    @Override
    public int getWireVersion() {
      return 9;
    }
  }
}
