import Type, { type TInteger } from 'typebox'
import { JOB_STATUSES, type JobStatus } from './job.ts'

/** Rejected rows shown with a job, and with each job of a list; `errors.csv` has all. */
export const SHOWN_ERRORS = 1_000
export const LISTED_ERRORS = 10

const Rows = (description: string) => Type.Integer({ minimum: 0, description })

export const JobErrorSchema = Type.Object({
  rowNumber: Type.Integer({ description: 'As in a spreadsheet: the header is row 1.' }),
  message: Type.String({ description: 'Every reason for which the row was refused.' }),
  row: Type.Record(Type.String(), Type.String(), { description: 'The original cells, by column.' }),
})

const countFields = {
  totalRows: Type.Union([Rows('Rows of data in the file.'), Type.Null()], {
    description: 'Null until the file was counted.',
  }),
  processedRows: Rows('`successCount` + `failedCount`.'),
  successCount: Rows('Rows that were imported.'),
  failedCount: Rows('Rows that were refused.'),
}

const StatusSchema = Type.Enum([...JOB_STATUSES])

export const JobSchema = Type.Object({
  id: Type.String({ format: 'uuid' }),
  filename: Type.String(),
  dataset: Type.String({ description: 'Where its rows go.' }),
  parentId: Type.Union([Type.String({ format: 'uuid' }), Type.Null()], {
    description: 'The job whose refused rows this one corrects.',
  }),
  sizeBytes: Rows('Bytes of the file.'),
  status: StatusSchema,
  ...countFields,
  duplicateCount: Rows('Of `failedCount`: rows that were there already, in the file or in the dataset.'),
  correctedCount: Rows('Of `successCount`: rows that were refused, and came back corrected.'),
  errors: Type.Array(JobErrorSchema, {
    description: `The first refused rows: ${SHOWN_ERRORS}, or ${LISTED_ERRORS} in a list; fewer when they are large. All are in \`errors.csv\`.`,
  }),
  error: Type.Union([Type.String(), Type.Null()], { description: 'Why a failed job failed.' }),
  createdAt: Type.String({ format: 'date-time' }),
  completedAt: Type.Union([Type.String({ format: 'date-time' }), Type.Null()], {
    description: 'When it was completed, failed or cancelled.',
  }),
  sequence: Type.Integer({
    description: 'Visible changes so far: of two states the one with more is newer.',
  }),
})

/** A job as live views of all jobs show it: what was refused is read with the job itself. */
export const JobStateSchema = Type.Omit(JobSchema, ['errors'])

export const JobStatsSchema = Type.Object({
  total: Type.Integer({ minimum: 0 }),
  ...(Object.fromEntries(JOB_STATUSES.map((status) => [status, Type.Integer({ minimum: 0 })])) as Record<
    JobStatus,
    TInteger
  >),
})

/** What live views are sent. */
export const JobProgressSchema = Type.Object({
  jobId: Type.String({ format: 'uuid' }),
  ...countFields,
  status: StatusSchema,
})

export const JobParams = Type.Object({ id: Type.String({ maxLength: 100, description: 'A job’s id.' }) })
