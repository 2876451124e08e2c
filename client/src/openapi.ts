// Generated from the service's /openapi.json: `npm run generate -w client`. Do not edit.

export interface paths {
  '/api/jobs': {
    /** List jobs */
    get: {
      parameters: {
        query?: {
          /** Most items on a page. */
          limit?: number
          /** Cursor from the `Link` header of the page before. */
          after?: string
        }
      }
      responses: {
        200: {
          content: {
            'application/json': Array<{
              id: string
              filename: string
              status: "pending" | "processing" | "completed" | "failed" | "cancelled"
              /** Null until the file was counted. */
              totalRows: number | null
              /** `successCount` + `failedCount`. */
              processedRows: number
              /** Rows that were imported. */
              successCount: number
              /** Rows that were refused. */
              failedCount: number
              /** The first refused rows: 1000, or 10 in a list; fewer when they are large. All are in `errors.csv`. */
              errors: Array<{
                /** As in a spreadsheet: the header is row 1. */
                rowNumber: number
                /** Every reason for which the row was refused. */
                message: string
                /** The original cells, by column. */
                row: Record<string, string>
              }>
              /** Why a failed job failed. */
              error: string | null
              createdAt: string
              /** When it was completed, or failed. */
              completedAt: string | null
              /** Visible changes so far: of two states the one with more is newer. */
              sequence: number
            }>
          }
        }
        400: {
          content: {
            'application/problem+json': Problem
          }
        }
        401: {
          content: {
            'application/problem+json': Problem
          }
        }
        403: {
          content: {
            'application/problem+json': Problem
          }
        }
      }
    }
  }
  '/api/jobs/stats': {
    /** Count jobs by status */
    get: {
      responses: {
        200: {
          content: {
            'application/json': {
              total: number
              pending: number
              processing: number
              completed: number
              failed: number
              cancelled: number
            }
          }
        }
        401: {
          content: {
            'application/problem+json': Problem
          }
        }
        403: {
          content: {
            'application/problem+json': Problem
          }
        }
        503: {
          content: {
            'application/problem+json': Problem
          }
        }
      }
    }
  }
  '/api/jobs/stream': {
    /** Watch all jobs */
    get: {
      responses: {
        200: {
          content: {
            'text/event-stream': {
              jobs: Array<{
                id: string
                filename: string
                status: "pending" | "processing" | "completed" | "failed" | "cancelled"
                /** Null until the file was counted. */
                totalRows: number | null
                /** `successCount` + `failedCount`. */
                processedRows: number
                /** Rows that were imported. */
                successCount: number
                /** Rows that were refused. */
                failedCount: number
                /** Why a failed job failed. */
                error: string | null
                createdAt: string
                /** When it was completed, or failed. */
                completedAt: string | null
                /** Visible changes so far: of two states the one with more is newer. */
                sequence: number
              }>
              next: string | null
            } | {
              id: string
              filename: string
              status: "pending" | "processing" | "completed" | "failed" | "cancelled"
              /** Null until the file was counted. */
              totalRows: number | null
              /** `successCount` + `failedCount`. */
              processedRows: number
              /** Rows that were imported. */
              successCount: number
              /** Rows that were refused. */
              failedCount: number
              /** Why a failed job failed. */
              error: string | null
              createdAt: string
              /** When it was completed, or failed. */
              completedAt: string | null
              /** Visible changes so far: of two states the one with more is newer. */
              sequence: number
            } | {
              jobId: string
            } | {
              total: number
              pending: number
              processing: number
              completed: number
              failed: number
              cancelled: number
            }
          }
        }
        401: {
          content: {
            'application/problem+json': Problem
          }
        }
        403: {
          content: {
            'application/problem+json': Problem
          }
        }
        429: {
          content: {
            'application/problem+json': Problem
          }
        }
        503: {
          content: {
            'application/problem+json': Problem
          }
        }
      }
    }
  }
  '/api/jobs/upload': {
    /** Upload a file */
    post: {
      parameters: {
        header?: {
          /** Printable ASCII. The same key and request again gets the stored outcome; with another request 422. */
          'idempotency-key'?: string
        }
      }
      requestBody: {
        content: {
          'multipart/form-data': {
            file: string
          }
        }
      }
      responses: {
        200: {
          content: {
            'application/json': {
              jobId: string
            }
          }
        }
        400: {
          content: {
            'application/problem+json': Problem
          }
        }
        401: {
          content: {
            'application/problem+json': Problem
          }
        }
        403: {
          content: {
            'application/problem+json': Problem
          }
        }
        413: {
          content: {
            'application/problem+json': Problem
          }
        }
        415: {
          content: {
            'application/problem+json': Problem
          }
        }
        422: {
          content: {
            'application/problem+json': Problem
          }
        }
        503: {
          content: {
            'application/problem+json': Problem
          }
        }
      }
    }
  }
  '/api/jobs/{id}': {
    /** Read a job */
    get: {
      parameters: {
        path: {
          /** A job’s id. */
          id: string
        }
      }
      responses: {
        200: {
          content: {
            'application/json': {
              id: string
              filename: string
              status: "pending" | "processing" | "completed" | "failed" | "cancelled"
              /** Null until the file was counted. */
              totalRows: number | null
              /** `successCount` + `failedCount`. */
              processedRows: number
              /** Rows that were imported. */
              successCount: number
              /** Rows that were refused. */
              failedCount: number
              /** The first refused rows: 1000, or 10 in a list; fewer when they are large. All are in `errors.csv`. */
              errors: Array<{
                /** As in a spreadsheet: the header is row 1. */
                rowNumber: number
                /** Every reason for which the row was refused. */
                message: string
                /** The original cells, by column. */
                row: Record<string, string>
              }>
              /** Why a failed job failed. */
              error: string | null
              createdAt: string
              /** When it was completed, or failed. */
              completedAt: string | null
              /** Visible changes so far: of two states the one with more is newer. */
              sequence: number
            }
          }
        }
        401: {
          content: {
            'application/problem+json': Problem
          }
        }
        403: {
          content: {
            'application/problem+json': Problem
          }
        }
        404: {
          content: {
            'application/problem+json': Problem
          }
        }
      }
    }
  }
  '/api/jobs/{id}/errors.csv': {
    /** Download all refused rows of a job as CSV */
    get: {
      parameters: {
        path: {
          /** A job’s id. */
          id: string
        }
      }
      responses: {
        200: {
          content: Record<string, never>
        }
      }
    }
  }
  '/api/jobs/{id}/stream': {
    /** Watch a job */
    get: {
      parameters: {
        path: {
          /** A job’s id. */
          id: string
        }
      }
      responses: {
        200: {
          content: {
            'text/event-stream': {
              jobId: string
              /** Null until the file was counted. */
              totalRows: number | null
              /** `successCount` + `failedCount`. */
              processedRows: number
              /** Rows that were imported. */
              successCount: number
              /** Rows that were refused. */
              failedCount: number
              status: "pending" | "processing" | "completed" | "failed" | "cancelled"
            }
          }
        }
        204: {
          content: {
            'application/json': unknown
          }
        }
        401: {
          content: {
            'application/problem+json': Problem
          }
        }
        403: {
          content: {
            'application/problem+json': Problem
          }
        }
        404: {
          content: {
            'application/problem+json': Problem
          }
        }
        429: {
          content: {
            'application/problem+json': Problem
          }
        }
        503: {
          content: {
            'application/problem+json': Problem
          }
        }
      }
    }
  }
  '/clients/{clientKrn}/progress': {
    /** Read progress */
    get: {
      parameters: {
        path: {
          /** The client (tenant); opaque to Pebbles. */
          clientKrn: string
        }
        query?: {
          filename?: string
          email?: string
          /** Most items on a page. */
          limit?: number
          /** Cursor from the `Link` header of the page before. */
          after?: string
        }
      }
      responses: {
        200: {
          content: {
            'application/json': Array<{
              id: string
              clientKrn: string
              filename: string
              /** Who owns the record: the first to report on the file. */
              email: string
              /** Rows. Their sum never exceeds 2^53 − 1. */
              counts: {
                done: number
                warn: number
                failed: number
              }
              /** Rows expected; null while nobody has said. */
              total: number | null
              isCompleted: boolean
              errorsTotal: number
              warningsTotal: number
              createdAt: string
              updatedAt: string
              /** Updates applied so far: the `id` of live events, and the ETag. */
              sequence: number
              /** The newest 1000 of `errorsTotal`. */
              errors: Array<{
                /** Line in the file; 0: the file. */
                line: number
                message: string
              }>
              /** The newest 1000 of `warningsTotal`. */
              warnings: Array<{
                /** Line in the file; 0: the file. */
                line: number
                message: string
              }>
            }> | {
              id: string
              clientKrn: string
              filename: string
              /** Who owns the record: the first to report on the file. */
              email: string
              /** Rows. Their sum never exceeds 2^53 − 1. */
              counts: {
                done: number
                warn: number
                failed: number
              }
              /** Rows expected; null while nobody has said. */
              total: number | null
              isCompleted: boolean
              errorsTotal: number
              warningsTotal: number
              createdAt: string
              updatedAt: string
              /** Updates applied so far: the `id` of live events, and the ETag. */
              sequence: number
              /** The newest 1000 of `errorsTotal`. */
              errors: Array<{
                /** Line in the file; 0: the file. */
                line: number
                message: string
              }>
              /** The newest 1000 of `warningsTotal`. */
              warnings: Array<{
                /** Line in the file; 0: the file. */
                line: number
                message: string
              }>
            }
          }
        }
        400: {
          content: {
            'application/problem+json': Problem
          }
        }
        404: {
          content: {
            'application/problem+json': Problem
          }
        }
        429: {
          content: {
            'application/problem+json': Problem
          }
        }
      }
    }
    /** Report progress */
    post: {
      parameters: {
        path: {
          /** The client (tenant); opaque to Pebbles. */
          clientKrn: string
        }
        header?: {
          /** Printable ASCII. The same key and request again gets the stored outcome; with another request 422. */
          'idempotency-key'?: string
        }
      }
      requestBody: {
        content: {
          'application/json': {
            /** At most 1,024 bytes of UTF-8. */
            filename: string
            /** Rows. Their sum never exceeds 2^53 − 1. */
            counts: {
              done: number
              warn: number
              failed: number
            }
            /** Rows expected; sets or changes it. */
            total?: number
            /** Completes the file: nothing can be added afterwards. */
            isLast?: boolean
            errors?: Array<{
              /** Line in the file; 0: the file. */
              line: number
              message: string
            }>
            warnings?: Array<{
              /** Line in the file; 0: the file. */
              line: number
              message: string
            }>
            /** Ignored: times are the server’s. */
            createdAt?: unknown
            /** Ignored: times are the server’s. */
            updatedAt?: unknown
          }
        }
      }
      responses: {
        200: {
          content: {
            'application/json': {
              result: "created" | "updated"
              clientKrn: string
              filename: string
              /** Rows. Their sum never exceeds 2^53 − 1. */
              counts: {
                done: number
                warn: number
                failed: number
              }
              /** Rows expected; null while nobody has said. */
              total: number | null
              isCompleted: boolean
              errorsTotal: number
              warningsTotal: number
              /** The newest 1000 of `errorsTotal`. */
              errors: Array<{
                /** Line in the file; 0: the file. */
                line: number
                message: string
              }>
              /** The newest 1000 of `warningsTotal`. */
              warnings: Array<{
                /** Line in the file; 0: the file. */
                line: number
                message: string
              }>
            }
          }
        }
        400: {
          content: {
            'application/problem+json': Problem
          }
        }
        401: {
          content: {
            'application/problem+json': Problem
          }
        }
        403: {
          content: {
            'application/problem+json': Problem
          }
        }
        413: {
          content: {
            'application/problem+json': Problem
          }
        }
        415: {
          content: {
            'application/problem+json': Problem
          }
        }
        422: {
          content: {
            'application/problem+json': Problem
          }
        }
        429: {
          content: {
            'application/problem+json': Problem
          }
        }
        503: {
          content: {
            'application/problem+json': Problem
          }
        }
      }
    }
  }
  '/clients/{clientKrn}/progress/batch': {
    /** Report progress on many files at once */
    post: {
      parameters: {
        path: {
          /** The client (tenant); opaque to Pebbles. */
          clientKrn: string
        }
        header?: {
          /** Printable ASCII. The same key and request again gets the stored outcome; with another request 422. */
          'idempotency-key'?: string
        }
      }
      requestBody: {
        content: {
          'application/json': Array<{
            /** Counts once, however often it is sent again. */
            id?: string
            /** At most 1,024 bytes of UTF-8. */
            filename: string
            /** Rows. Their sum never exceeds 2^53 − 1. */
            counts: {
              done: number
              warn: number
              failed: number
            }
            /** Rows expected; sets or changes it. */
            total?: number
            /** Completes the file: nothing can be added afterwards. */
            isLast?: boolean
            errors?: Array<{
              /** Line in the file; 0: the file. */
              line: number
              message: string
            }>
            warnings?: Array<{
              /** Line in the file; 0: the file. */
              line: number
              message: string
            }>
            /** Ignored: times are the server’s. */
            createdAt?: unknown
            /** Ignored: times are the server’s. */
            updatedAt?: unknown
          }>
        }
      }
      responses: {
        200: {
          content: {
            'application/json': Array<{
              /** What this item alone would have been answered. */
              status: number
              result?: string
              filename?: string
              /** Rows. Their sum never exceeds 2^53 − 1. */
              counts?: {
                done: number
                warn: number
                failed: number
              }
              /** Rows expected; null while nobody has said. */
              total?: number | null
              isCompleted?: boolean
              errorsTotal?: number
              warningsTotal?: number
              /** Why the item was refused (RFC 9457). */
              problem?: unknown
            }>
          }
        }
        400: {
          content: {
            'application/problem+json': Problem
          }
        }
        401: {
          content: {
            'application/problem+json': Problem
          }
        }
        403: {
          content: {
            'application/problem+json': Problem
          }
        }
        413: {
          content: {
            'application/problem+json': Problem
          }
        }
        415: {
          content: {
            'application/problem+json': Problem
          }
        }
        422: {
          content: {
            'application/problem+json': Problem
          }
        }
        429: {
          content: {
            'application/problem+json': Problem
          }
        }
        503: {
          content: {
            'application/problem+json': Problem
          }
        }
      }
    }
  }
  '/clients/{clientKrn}/progress/stream': {
    /** Watch progress */
    get: {
      parameters: {
        path: {
          /** The client (tenant); opaque to Pebbles. */
          clientKrn: string
        }
        query?: {
          filename?: string
        }
      }
      responses: {
        200: {
          content: {
            'text/event-stream': {
              id: string
              clientKrn: string
              filename: string
              /** Who owns the record: the first to report on the file. */
              email: string
              /** Rows. Their sum never exceeds 2^53 − 1. */
              counts: {
                done: number
                warn: number
                failed: number
              }
              /** Rows expected; null while nobody has said. */
              total: number | null
              isCompleted: boolean
              errorsTotal: number
              warningsTotal: number
              createdAt: string
              updatedAt: string
              /** Updates applied so far: the `id` of live events, and the ETag. */
              sequence: number
            }
          }
        }
        400: {
          content: {
            'application/problem+json': Problem
          }
        }
        429: {
          content: {
            'application/problem+json': Problem
          }
        }
        503: {
          content: {
            'application/problem+json': Problem
          }
        }
      }
    }
  }
  '/clients/{clientKrn}/progress/{id}': {
    /** Read one record by its id */
    get: {
      parameters: {
        path: {
          /** The client (tenant); opaque to Pebbles. */
          clientKrn: string
          /** A record’s id. */
          id: string
        }
      }
      responses: {
        200: {
          content: {
            'application/json': {
              id: string
              clientKrn: string
              filename: string
              /** Who owns the record: the first to report on the file. */
              email: string
              /** Rows. Their sum never exceeds 2^53 − 1. */
              counts: {
                done: number
                warn: number
                failed: number
              }
              /** Rows expected; null while nobody has said. */
              total: number | null
              isCompleted: boolean
              errorsTotal: number
              warningsTotal: number
              createdAt: string
              updatedAt: string
              /** Updates applied so far: the `id` of live events, and the ETag. */
              sequence: number
              /** The newest 1000 of `errorsTotal`. */
              errors: Array<{
                /** Line in the file; 0: the file. */
                line: number
                message: string
              }>
              /** The newest 1000 of `warningsTotal`. */
              warnings: Array<{
                /** Line in the file; 0: the file. */
                line: number
                message: string
              }>
            }
          }
        }
        400: {
          content: {
            'application/problem+json': Problem
          }
        }
        404: {
          content: {
            'application/problem+json': Problem
          }
        }
      }
    }
  }
  '/clients/{clientKrn}/progress/{id}/errors': {
    /** Read all errors of a record */
    get: {
      parameters: {
        path: {
          /** The client (tenant); opaque to Pebbles. */
          clientKrn: string
          /** A record’s id. */
          id: string
        }
        query?: {
          /** Most items on a page. */
          limit?: number
          after?: number
        }
      }
      responses: {
        200: {
          content: {
            'application/json': Array<{
              /** Line in the file; 0: the file. */
              line: number
              message: string
            }>
          }
        }
        400: {
          content: {
            'application/problem+json': Problem
          }
        }
        404: {
          content: {
            'application/problem+json': Problem
          }
        }
      }
    }
  }
  '/clients/{clientKrn}/progress/{id}/errors.csv': {
    /** Download all errors of a record as CSV */
    get: {
      parameters: {
        path: {
          /** The client (tenant); opaque to Pebbles. */
          clientKrn: string
          /** A record’s id. */
          id: string
        }
      }
      responses: {
        200: {
          content: Record<string, never>
        }
      }
    }
  }
  '/clients/{clientKrn}/progress/{id}/events': {
    /** Read the audit of a record */
    get: {
      parameters: {
        path: {
          /** The client (tenant); opaque to Pebbles. */
          clientKrn: string
          /** A record’s id. */
          id: string
        }
        query?: {
          /** Most items on a page. */
          limit?: number
          after?: number
        }
      }
      responses: {
        200: {
          content: {
            'application/json': Array<{
              sequence: number
              at: string
              email: string
              /** http or import */
              channel: string
              /** The sender’s own id of the update. */
              updateId: string | null
              /** Rows. Their sum never exceeds 2^53 − 1. */
              counts: {
                done: number
                warn: number
                failed: number
              }
              /** The record’s total after it. */
              total: number | null
              isLast: boolean
              errors: number
              warnings: number
              /** Rows. Their sum never exceeds 2^53 − 1. */
              countsAfter: {
                done: number
                warn: number
                failed: number
              }
            }>
          }
        }
        400: {
          content: {
            'application/problem+json': Problem
          }
        }
        404: {
          content: {
            'application/problem+json': Problem
          }
        }
      }
    }
  }
  '/clients/{clientKrn}/progress/{id}/warnings': {
    /** Read all warnings of a record */
    get: {
      parameters: {
        path: {
          /** The client (tenant); opaque to Pebbles. */
          clientKrn: string
          /** A record’s id. */
          id: string
        }
        query?: {
          /** Most items on a page. */
          limit?: number
          after?: number
        }
      }
      responses: {
        200: {
          content: {
            'application/json': Array<{
              /** Line in the file; 0: the file. */
              line: number
              message: string
            }>
          }
        }
        400: {
          content: {
            'application/problem+json': Problem
          }
        }
        404: {
          content: {
            'application/problem+json': Problem
          }
        }
      }
    }
  }
  '/clients/{clientKrn}/progress/{id}/warnings.csv': {
    /** Download all warnings of a record as CSV */
    get: {
      parameters: {
        path: {
          /** The client (tenant); opaque to Pebbles. */
          clientKrn: string
          /** A record’s id. */
          id: string
        }
      }
      responses: {
        200: {
          content: Record<string, never>
        }
      }
    }
  }
  '/health': {
    /** Is the process alive? */
    get: {
      responses: {
        200: {
          content: Record<string, never>
        }
      }
    }
  }
  '/livez': {
    /** Is the process alive? */
    get: {
      responses: {
        200: {
          content: Record<string, never>
        }
      }
    }
  }
  '/readyz': {
    /** Can it do its work? */
    get: {
      responses: {
        200: {
          content: Record<string, never>
        }
      }
    }
  }
}

export interface components {
  schemas: {}
}

/** A problem (RFC 9457) */
export type Problem = {
  /** Identifies the kind of problem; the same for the same `code`. */
  type: string
  title: string
  status: number
  detail: string
  code: string
  errors?: Array<{
    /** Path of the field, such as `errors[3].line`. */
    field: string
    message: string
  }>
}
