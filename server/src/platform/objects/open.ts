import { openObjectFolder } from './folder.ts'
import type { ObjectLocation, ObjectStore } from './objects.ts'

/** Opens the objects at a place, which can be told to another thread. */
export function openObjects(location: ObjectLocation): Promise<ObjectStore> {
  return openObjectFolder(location.folder)
}
