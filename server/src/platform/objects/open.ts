import { PebblesError } from '../errors.ts'
import { openObjectFolder } from './folder.ts'
import type { ObjectLocation, ObjectStore } from './objects.ts'

/** Opens the objects at a place, which can be told to another thread. */
export async function openObjects(location: ObjectLocation): Promise<ObjectStore> {
  if ('folder' in location) return openObjectFolder(location.folder)
  // Loaded only where it is used: the SDK takes a tenth of a second and 35 MB.
  const { openS3Objects } = await import('./s3.ts')
  return openS3Objects(location)
}

/**
 * Asks for them once, so that a wrong address or key is told at the start.
 *
 * @throws PebblesError `unavailable`, naming the place
 */
export async function requireObjects(objects: ObjectStore): Promise<void> {
  try {
    await objects.list('uploads', { limit: 1 })
  } catch (error) {
    const at = objects.location
    if ('folder' in at) throw error
    const place = `the bucket ${at.bucket} at ${at.endpoint ?? `S3 in ${at.region}`}`
    const message = `Files cannot be kept in ${place} (S3_BUCKET, S3_ENDPOINT, AWS_REGION, and credentials as the AWS SDK finds them).`
    throw new PebblesError('unavailable', message, { cause: (error as Error).cause })
  }
}
