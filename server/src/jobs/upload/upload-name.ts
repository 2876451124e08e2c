/** Folder of the uploaded files in the object store. */
export const UPLOADS = 'uploads'

/** Where the file of a job lies. */
export const uploadName = (jobId: string) => `${UPLOADS}/${jobId}`

const UPLOAD_NAME = /^uploads\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/

/** The job that a file belongs to, or `undefined` for a file that is not of our making. */
export const jobOfUpload = (name: string): string | undefined => UPLOAD_NAME.exec(name)?.[1]
