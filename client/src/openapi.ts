// Generated from the service's /openapi.json: `npm run generate -w client`. Do not edit.

export interface paths {
  '/.well-known/jwks.json': {
    /** Read the public keys of receipts */
    get: {
      responses: {
        200: {
          content: {
            'application/json': {
              keys: Array<unknown>
            }
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
  '/actuator/health': {
    /** How is all that it needs and does? */
    get: {
      responses: {
        200: {
          content: Record<string, never>
        }
      }
    }
  }
  '/actuator/health/liveness': {
    /** Is the process alive? As Spring Boot tells it */
    get: {
      responses: {
        200: {
          content: Record<string, never>
        }
      }
    }
  }
  '/actuator/health/readiness': {
    /** Can it do its work? As Spring Boot tells it */
    get: {
      responses: {
        200: {
          content: Record<string, never>
        }
      }
    }
  }
  '/api/datasets': {
    /** List datasets */
    get: {
      responses: {
        200: {
          content: {
            'application/json': Array<{
              name: string
              /** Rises with each change; 0 for what is built in. */
              version: number
              /** Cannot be changed. */
              isBuiltIn: boolean
              /** When this version was made. */
              createdAt: string | null
              columns: Array<{
                /** Name in the header, whatever its case, and in the table. */
                name: string
                /** Other names by which a header may call it. Its own name comes first, then these in order. */
                aliases?: Array<string>
                type: "text" | "integer" | "decimal" | "boolean" | "date" | "timestamp" | "email" | "url" | "enum" | "regex"
                /** The header must have it, and no cell may be blank, unless there is a default. */
                required?: boolean
                /** Stored where a cell is blank, or the file has no such column. */
                default?: string | number | boolean
                /** Fewest characters (Unicode code points); text, email, url, regex. */
                minLength?: number
                /** Most characters; text, email, url, regex. */
                maxLength?: number
                /** Least value, or earliest; integer, decimal, date, timestamp. Beyond 2^53 as a text. */
                min?: string | number
                /** Greatest value, or latest. */
                max?: string | number
                /** What an enum allows, whatever the case; stored as it is written here. */
                values?: Array<string>
                /** RE2 syntax, for regex: matches the value as a whole. */
                pattern?: string
                messages?: {
                  /** Instead of `is required`. */
                  required?: string
                  /** Instead of whatever is wrong with a value. */
                  invalid?: string
                }
              }>
              uniqueKeys: Array<{
                /** Their values together occur once among all rows. A row in which one is blank has no such key. */
                columns: Array<string>
                /** Instead of `already exists`. */
                message?: string
              }>
            }>
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
    /** Declare a dataset */
    put: {
      requestBody: {
        content: {
          'application/json': {
            /** Name of the dataset: `?dataset=` of an upload. */
            name: string
            columns: Array<{
              /** Name in the header, whatever its case, and in the table. */
              name: string
              /** Other names by which a header may call it. Its own name comes first, then these in order. */
              aliases?: Array<string>
              type: "text" | "integer" | "decimal" | "boolean" | "date" | "timestamp" | "email" | "url" | "enum" | "regex"
              /** The header must have it, and no cell may be blank, unless there is a default. */
              required?: boolean
              /** Stored where a cell is blank, or the file has no such column. */
              default?: string | number | boolean
              /** Fewest characters (Unicode code points); text, email, url, regex. */
              minLength?: number
              /** Most characters; text, email, url, regex. */
              maxLength?: number
              /** Least value, or earliest; integer, decimal, date, timestamp. Beyond 2^53 as a text. */
              min?: string | number
              /** Greatest value, or latest. */
              max?: string | number
              /** What an enum allows, whatever the case; stored as it is written here. */
              values?: Array<string>
              /** RE2 syntax, for regex: matches the value as a whole. */
              pattern?: string
              messages?: {
                /** Instead of `is required`. */
                required?: string
                /** Instead of whatever is wrong with a value. */
                invalid?: string
              }
            }>
            uniqueKeys?: Array<{
              /** Their values together occur once among all rows. A row in which one is blank has no such key. */
              columns: Array<string>
              /** Instead of `already exists`. */
              message?: string
            }>
            /** Ignored, so that what was read can be sent back. */
            version?: unknown
            /** Ignored, so that what was read can be sent back. */
            isBuiltIn?: unknown
            /** Ignored, so that what was read can be sent back. */
            createdAt?: unknown
          }
        }
      }
      responses: {
        200: {
          content: {
            'application/json': {
              name: string
              /** Rises with each change; 0 for what is built in. */
              version: number
              /** Cannot be changed. */
              isBuiltIn: boolean
              /** When this version was made. */
              createdAt: string | null
              columns: Array<{
                /** Name in the header, whatever its case, and in the table. */
                name: string
                /** Other names by which a header may call it. Its own name comes first, then these in order. */
                aliases?: Array<string>
                type: "text" | "integer" | "decimal" | "boolean" | "date" | "timestamp" | "email" | "url" | "enum" | "regex"
                /** The header must have it, and no cell may be blank, unless there is a default. */
                required?: boolean
                /** Stored where a cell is blank, or the file has no such column. */
                default?: string | number | boolean
                /** Fewest characters (Unicode code points); text, email, url, regex. */
                minLength?: number
                /** Most characters; text, email, url, regex. */
                maxLength?: number
                /** Least value, or earliest; integer, decimal, date, timestamp. Beyond 2^53 as a text. */
                min?: string | number
                /** Greatest value, or latest. */
                max?: string | number
                /** What an enum allows, whatever the case; stored as it is written here. */
                values?: Array<string>
                /** RE2 syntax, for regex: matches the value as a whole. */
                pattern?: string
                messages?: {
                  /** Instead of `is required`. */
                  required?: string
                  /** Instead of whatever is wrong with a value. */
                  invalid?: string
                }
              }>
              uniqueKeys: Array<{
                /** Their values together occur once among all rows. A row in which one is blank has no such key. */
                columns: Array<string>
                /** Instead of `already exists`. */
                message?: string
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
        503: {
          content: {
            'application/problem+json': Problem
          }
        }
      }
    }
  }
  '/api/datasets/{name}': {
    /** Read a dataset */
    get: {
      parameters: {
        path: {
          /** A dataset’s name. */
          name: string
        }
      }
      responses: {
        200: {
          content: {
            'application/json': {
              name: string
              /** Rises with each change; 0 for what is built in. */
              version: number
              /** Cannot be changed. */
              isBuiltIn: boolean
              /** When this version was made. */
              createdAt: string | null
              columns: Array<{
                /** Name in the header, whatever its case, and in the table. */
                name: string
                /** Other names by which a header may call it. Its own name comes first, then these in order. */
                aliases?: Array<string>
                type: "text" | "integer" | "decimal" | "boolean" | "date" | "timestamp" | "email" | "url" | "enum" | "regex"
                /** The header must have it, and no cell may be blank, unless there is a default. */
                required?: boolean
                /** Stored where a cell is blank, or the file has no such column. */
                default?: string | number | boolean
                /** Fewest characters (Unicode code points); text, email, url, regex. */
                minLength?: number
                /** Most characters; text, email, url, regex. */
                maxLength?: number
                /** Least value, or earliest; integer, decimal, date, timestamp. Beyond 2^53 as a text. */
                min?: string | number
                /** Greatest value, or latest. */
                max?: string | number
                /** What an enum allows, whatever the case; stored as it is written here. */
                values?: Array<string>
                /** RE2 syntax, for regex: matches the value as a whole. */
                pattern?: string
                messages?: {
                  /** Instead of `is required`. */
                  required?: string
                  /** Instead of whatever is wrong with a value. */
                  invalid?: string
                }
              }>
              uniqueKeys: Array<{
                /** Their values together occur once among all rows. A row in which one is blank has no such key. */
                columns: Array<string>
                /** Instead of `already exists`. */
                message?: string
              }>
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
        503: {
          content: {
            'application/problem+json': Problem
          }
        }
      }
    }
  }
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
              /** Where its rows go. */
              dataset: string
              /** The job whose refused rows this one corrects. */
              parentId: string | null
              /** Bytes of the file. */
              sizeBytes: number
              status: "pending" | "processing" | "completed" | "failed" | "cancelled"
              /** Null until the file was counted. */
              totalRows: number | null
              /** `successCount` + `failedCount`. */
              processedRows: number
              /** Rows that were imported. */
              successCount: number
              /** Rows that were refused. */
              failedCount: number
              /** Of `failedCount`: rows that were there already, in the file or in the dataset. */
              duplicateCount: number
              /** Of `successCount`: rows that were refused, and came back corrected. */
              correctedCount: number
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
              /** When it was completed, failed or cancelled. */
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
                /** Where its rows go. */
                dataset: string
                /** The job whose refused rows this one corrects. */
                parentId: string | null
                /** Bytes of the file. */
                sizeBytes: number
                status: "pending" | "processing" | "completed" | "failed" | "cancelled"
                /** Null until the file was counted. */
                totalRows: number | null
                /** `successCount` + `failedCount`. */
                processedRows: number
                /** Rows that were imported. */
                successCount: number
                /** Rows that were refused. */
                failedCount: number
                /** Of `failedCount`: rows that were there already, in the file or in the dataset. */
                duplicateCount: number
                /** Of `successCount`: rows that were refused, and came back corrected. */
                correctedCount: number
                /** Why a failed job failed. */
                error: string | null
                createdAt: string
                /** When it was completed, failed or cancelled. */
                completedAt: string | null
                /** Visible changes so far: of two states the one with more is newer. */
                sequence: number
              }>
              next: string | null
            } | {
              id: string
              filename: string
              /** Where its rows go. */
              dataset: string
              /** The job whose refused rows this one corrects. */
              parentId: string | null
              /** Bytes of the file. */
              sizeBytes: number
              status: "pending" | "processing" | "completed" | "failed" | "cancelled"
              /** Null until the file was counted. */
              totalRows: number | null
              /** `successCount` + `failedCount`. */
              processedRows: number
              /** Rows that were imported. */
              successCount: number
              /** Rows that were refused. */
              failedCount: number
              /** Of `failedCount`: rows that were there already, in the file or in the dataset. */
              duplicateCount: number
              /** Of `successCount`: rows that were refused, and came back corrected. */
              correctedCount: number
              /** Why a failed job failed. */
              error: string | null
              createdAt: string
              /** When it was completed, failed or cancelled. */
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
        query?: {
          /** What the rows are: a name from `GET /api/datasets`. */
          dataset?: string
          /** The ended job whose refused rows this file corrects. */
          parent?: string
        }
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
        404: {
          content: {
            'application/problem+json': Problem
          }
        }
        409: {
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
    /** Delete a job */
    delete: {
      parameters: {
        path: {
          /** A job’s id. */
          id: string
        }
        query?: {
          /** Whether imported rows go, too. */
          rows?: "true" | "false"
        }
      }
      responses: {
        204: {
          content: {
            'application/json': unknown
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
        404: {
          content: {
            'application/problem+json': Problem
          }
        }
        409: {
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
              /** Where its rows go. */
              dataset: string
              /** The job whose refused rows this one corrects. */
              parentId: string | null
              /** Bytes of the file. */
              sizeBytes: number
              status: "pending" | "processing" | "completed" | "failed" | "cancelled"
              /** Null until the file was counted. */
              totalRows: number | null
              /** `successCount` + `failedCount`. */
              processedRows: number
              /** Rows that were imported. */
              successCount: number
              /** Rows that were refused. */
              failedCount: number
              /** Of `failedCount`: rows that were there already, in the file or in the dataset. */
              duplicateCount: number
              /** Of `successCount`: rows that were refused, and came back corrected. */
              correctedCount: number
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
              /** When it was completed, failed or cancelled. */
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
  '/api/jobs/{id}/balance': {
    /** Check the books of a job */
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
              jobId: string
              /** Rows of the file, as far as is known: `stored + rejected + duplicate + late + inFlight`. */
              received: number
              /** Rows that are in the dataset, counted there. */
              stored: number
              /** Of `stored`: rows that were refused, and imported by corrections. */
              corrected: number
              /** Rows that are refused, counted; duplicates aside. */
              rejected: number
              /** Rows that are refused for being there already, counted. */
              duplicate: number
              /** None, for a file. */
              late: number
              /** Rows that were not looked at: yet, or, when it was cancelled or failed, at all. */
              inFlight: number
              /** Tables, job and ledger say the same. */
              balanced: boolean
              /** Every number that does not fit. */
              differences: Array<string>
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
        503: {
          content: {
            'application/problem+json': Problem
          }
        }
      }
    }
  }
  '/api/jobs/{id}/cancel': {
    /** Cancel a job */
    post: {
      parameters: {
        path: {
          /** A job’s id. */
          id: string
        }
        header?: {
          /** Printable ASCII. The same key and request again gets the stored outcome; with another request 422. */
          'idempotency-key'?: string
        }
      }
      responses: {
        200: {
          content: {
            'application/json': {
              id: string
              filename: string
              /** Where its rows go. */
              dataset: string
              /** The job whose refused rows this one corrects. */
              parentId: string | null
              /** Bytes of the file. */
              sizeBytes: number
              status: "pending" | "processing" | "completed" | "failed" | "cancelled"
              /** Null until the file was counted. */
              totalRows: number | null
              /** `successCount` + `failedCount`. */
              processedRows: number
              /** Rows that were imported. */
              successCount: number
              /** Rows that were refused. */
              failedCount: number
              /** Of `failedCount`: rows that were there already, in the file or in the dataset. */
              duplicateCount: number
              /** Of `successCount`: rows that were refused, and came back corrected. */
              correctedCount: number
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
              /** When it was completed, failed or cancelled. */
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
        409: {
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
  '/api/jobs/{id}/errors.csv': {
    /** Download all refused rows of a job as CSV */
    get: {
      parameters: {
        path: {
          /** A job’s id. */
          id: string
        }
        query?: {
          /** The untouched rows. */
          raw?: "true" | "false"
        }
      }
      responses: {
        200: {
          content: Record<string, never>
        }
      }
    }
  }
  '/api/jobs/{id}/receipt': {
    /** Download the signed receipt of an ended job */
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
            'application/jose': string
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
        409: {
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
  '/api/jobs/{id}/retry': {
    /** Retry a job */
    post: {
      parameters: {
        path: {
          /** A job’s id. */
          id: string
        }
        header?: {
          /** Printable ASCII. The same key and request again gets the stored outcome; with another request 422. */
          'idempotency-key'?: string
        }
      }
      responses: {
        200: {
          content: {
            'application/json': {
              id: string
              filename: string
              /** Where its rows go. */
              dataset: string
              /** The job whose refused rows this one corrects. */
              parentId: string | null
              /** Bytes of the file. */
              sizeBytes: number
              status: "pending" | "processing" | "completed" | "failed" | "cancelled"
              /** Null until the file was counted. */
              totalRows: number | null
              /** `successCount` + `failedCount`. */
              processedRows: number
              /** Rows that were imported. */
              successCount: number
              /** Rows that were refused. */
              failedCount: number
              /** Of `failedCount`: rows that were there already, in the file or in the dataset. */
              duplicateCount: number
              /** Of `successCount`: rows that were refused, and came back corrected. */
              correctedCount: number
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
              /** When it was completed, failed or cancelled. */
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
        409: {
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
  '/api/pageviews': {
    /** Take in a page view */
    post: {
      parameters: {
        header?: {
          /** Printable ASCII. The same key and request again gets the stored outcome; with another request 422. */
          'idempotency-key'?: string
        }
      }
      requestBody: {
        content: {
          'application/json': {
            user_id: number
            postcode: string
            webpage: string
            timestamp: number
            /** An event with the id of another one within 24 hours is that event again. */
            event_id?: string
          }
        }
      }
      responses: {
        202: {
          content: {
            'application/json': {
              /** Events that are durable now. */
              accepted: number
              /** Of `accepted`: events that were there already, by their id. With the log on Kafka they are found later, and this is 0. */
              duplicates: number
              /** Events that are not valid; they harm no other. */
              refused: Array<{
                /** Its place in the request, from 0 on. */
                item: number
                errors: Array<{
                  field: string
                  message: string
                }>
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
        503: {
          content: {
            'application/problem+json': Problem
          }
        }
      }
    }
  }
  '/api/pageviews/aggregates': {
    /** Read page views per minute and postcode */
    get: {
      parameters: {
        query?: {
          postcode?: string
          /** First window: `2021-01-26T14:44:00` (UTC unless it says otherwise) or seconds since 1970. Default: an hour before `to`. */
          from?: string
          /** Behind the last window. Default: now. */
          to?: string
          /** Seconds: a multiple of the window’s size. */
          step?: number
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
              postcode: string
              /** UTC, as in `2021-01-26T14:44:00`. */
              window_start: string
              /** Page views in the window. */
              pageview_count: number
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
        503: {
          content: {
            'application/problem+json': Problem
          }
        }
      }
    }
  }
  '/api/pageviews/batch': {
    /** Take in many page views */
    post: {
      parameters: {
        header?: {
          /** Printable ASCII. The same key and request again gets the stored outcome; with another request 422. */
          'idempotency-key'?: string
        }
      }
      requestBody: {
        content: {
          'application/json': Array<{
            user_id: number
            postcode: string
            webpage: string
            timestamp: number
            /** An event with the id of another one within 24 hours is that event again. */
            event_id?: string
          }>
          'application/x-ndjson': Array<{
            user_id: number
            postcode: string
            webpage: string
            timestamp: number
            /** An event with the id of another one within 24 hours is that event again. */
            event_id?: string
          }>
        }
      }
      responses: {
        202: {
          content: {
            'application/json': {
              /** Events that are durable now. */
              accepted: number
              /** Of `accepted`: events that were there already, by their id. With the log on Kafka they are found later, and this is 0. */
              duplicates: number
              /** Events that are not valid; they harm no other. */
              refused: Array<{
                /** Its place in the request, from 0 on. */
                item: number
                errors: Array<{
                  field: string
                  message: string
                }>
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
        503: {
          content: {
            'application/problem+json': Problem
          }
        }
      }
    }
  }
  '/api/pageviews/late': {
    /** Read page views that came too late */
    get: {
      parameters: {
        query?: {
          /** First window: `2021-01-26T14:44:00` (UTC unless it says otherwise) or seconds since 1970. Default: an hour before `to`. */
          from?: string
          /** Behind the last window. Default: now. */
          to?: string
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
              /** UTC, as in `2021-01-26T14:44:00`: the window that had closed. */
              window_start: string
              /** When that was found. */
              seen_at: string
              /** It was added to the aggregate of its key. */
              revised: boolean
              /** As it was sent. */
              event: Record<string, unknown>
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
        503: {
          content: {
            'application/problem+json': Problem
          }
        }
      }
    }
  }
  '/api/pageviews/stream': {
    /** Watch windows close */
    get: {
      responses: {
        200: {
          content: {
            'text/event-stream': {
              postcode: string
              /** UTC, as in `2021-01-26T14:44:00`. */
              window_start: string
              /** Page views in the window. */
              pageview_count: number
              /** How often the aggregate was revised. */
              revision?: number
              /** Page views that this revision added. */
              delta?: number
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
  '/api/pageviews/top': {
    /** Read the postcodes with the most page views */
    get: {
      parameters: {
        query?: {
          /** First window: `2021-01-26T14:44:00` (UTC unless it says otherwise) or seconds since 1970. Default: an hour before `to`. */
          from?: string
          /** Behind the last window. Default: now. */
          to?: string
          /** Most items on a page. */
          limit?: number
        }
      }
      responses: {
        200: {
          content: {
            'application/json': Array<{
              postcode: string
              /** Page views in the window. */
              pageview_count: number
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
        503: {
          content: {
            'application/problem+json': Problem
          }
        }
      }
    }
  }
  '/api/pageviews/totals': {
    /** Read page views per minute over all postcodes */
    get: {
      parameters: {
        query?: {
          /** First window: `2021-01-26T14:44:00` (UTC unless it says otherwise) or seconds since 1970. Default: an hour before `to`. */
          from?: string
          /** Behind the last window. Default: now. */
          to?: string
          /** Seconds: a multiple of the window’s size. */
          step?: number
        }
      }
      responses: {
        200: {
          content: {
            'application/json': Array<{
              /** UTC, as in `2021-01-26T14:44:00`. */
              window_start: string
              /** Page views in the window. */
              pageview_count: number
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
        503: {
          content: {
            'application/problem+json': Problem
          }
        }
      }
    }
  }
  '/api/streams/{stream}/balance': {
    /** Check the books of a stream */
    get: {
      parameters: {
        path: {
          /** Name of the stream. */
          stream: string
        }
        query?: {
          /** Counts each aggregate. */
          recount?: "true" | "false"
        }
      }
      responses: {
        200: {
          content: {
            'application/json': {
              stream: string
              /** Events that were taken in: `counted + late + open + inFlight`. */
              received: number
              /** Events in windows that closed. */
              counted: number
              /** Events whose window had closed. They are kept. */
              late: number
              /** Late events that were added to their aggregate, with LATE_POLICY=revise; the others are in none. */
              revised: number
              /** Events in windows that are still open. */
              open: number
              /** Events in the log that were not looked at yet, counted there. */
              inFlight: number
              /** Events in objects; null when nothing is archived. `received` is also `archived + neverArchived + archiveInFlight`. */
              archived: number | null
              /** Events that left the log while nothing was archived. */
              neverArchived: number | null
              /** Events in the log that are in no object yet, counted there. */
              archiveInFlight: number | null
              /** Log, aggregator, archiver and tables say the same. */
              balanced: boolean
              /** Every number that does not fit. */
              differences: Array<string>
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
        404: {
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
              /** http, sqs, kafka, import or correction */
              channel: string
              /** The sender’s own id of the update, or its place in the log that it came from. */
              updateId: string | null
              /** What it added. A correction takes from `failed` what it adds to `done`. */
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
  '/clients/{clientKrn}/progress/{id}/refusals': {
    /** Read the refused updates of a record */
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
              ordinal: number
              at: string
              /** Who sent it. */
              email: string
              /** sqs or kafka */
              channel: string
              /** The sender’s own id of the update, or its place in the log that it came from. */
              updateId: string | null
              /** `forbidden`: the record is another’s. `completed`: it takes no more. `overflow`: its numbers would become too large. `mismatch`: the id was used before, for something else. */
              result: string
              /** What it would have added. */
              counts: {
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
  '/clients/{clientKrn}/streams': {
    /** List streams */
    get: {
      parameters: {
        path: {
          /** The client (tenant); opaque to Pebbles. */
          clientKrn: string
        }
      }
      responses: {
        200: {
          content: {
            'application/json': Array<{
              name: string
              /** Cannot be changed. */
              isBuiltIn: boolean
              updatedAt: string | null
              /** Fields by whose values events are counted together. */
              key: Array<string>
              /** When the event happened. */
              timestamp: {
                /** A whole number. */
                field: string
                /** Since 1970, UTC. */
                unit: "s" | "ms"
              }
              /** Size of a window. */
              windowSeconds: number
              /** How far behind the newest event one may be and still count. */
              graceSeconds: number
              fields: Array<{
                /** Its name in the event. */
                name: string
                /** Whole numbers reach from −(2^53 − 1) to 2^53 − 1. */
                type: "string" | "integer" | "number" | "boolean"
                /** Every event has it. */
                required?: boolean
                /** Fewest characters; string. */
                minLength?: number
                /** Most characters; string. */
                maxLength?: number
                /** Least value; integer, number. */
                min?: number
                /** Greatest value; integer, number. */
                max?: number
              }>
              measures: Array<{
                /** Its name in the aggregate. */
                name: string
                /** What is made of the events of a window. `distinct` is how many different values a field has: exactly up to 128, beyond that an estimate with a standard error of 1.6 %. */
                kind: "count" | "sum" | "min" | "max" | "distinct"
                /** A field that every event has, for all but `count`: of any type for `distinct`, else a number. */
                field?: string
              }>
            }>
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
  '/clients/{clientKrn}/streams/{stream}': {
    /** Read a stream as it was declared */
    get: {
      parameters: {
        path: {
          /** The client (tenant); opaque to Pebbles. */
          clientKrn: string
          /** Name of the stream. */
          stream: string
        }
      }
      responses: {
        200: {
          content: {
            'application/json': {
              name: string
              /** Cannot be changed. */
              isBuiltIn: boolean
              updatedAt: string | null
              /** Fields by whose values events are counted together. */
              key: Array<string>
              /** When the event happened. */
              timestamp: {
                /** A whole number. */
                field: string
                /** Since 1970, UTC. */
                unit: "s" | "ms"
              }
              /** Size of a window. */
              windowSeconds: number
              /** How far behind the newest event one may be and still count. */
              graceSeconds: number
              fields: Array<{
                /** Its name in the event. */
                name: string
                /** Whole numbers reach from −(2^53 − 1) to 2^53 − 1. */
                type: "string" | "integer" | "number" | "boolean"
                /** Every event has it. */
                required?: boolean
                /** Fewest characters; string. */
                minLength?: number
                /** Most characters; string. */
                maxLength?: number
                /** Least value; integer, number. */
                min?: number
                /** Greatest value; integer, number. */
                max?: number
              }>
              measures: Array<{
                /** Its name in the aggregate. */
                name: string
                /** What is made of the events of a window. `distinct` is how many different values a field has: exactly up to 128, beyond that an estimate with a standard error of 1.6 %. */
                kind: "count" | "sum" | "min" | "max" | "distinct"
                /** A field that every event has, for all but `count`: of any type for `distinct`, else a number. */
                field?: string
              }>
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
    /** Declare a stream */
    put: {
      parameters: {
        path: {
          /** The client (tenant); opaque to Pebbles. */
          clientKrn: string
          /** Name of the stream. */
          stream: string
        }
      }
      requestBody: {
        content: {
          'application/json': {
            /** Fields by whose values events are counted together. */
            key: Array<string>
            /** When the event happened. */
            timestamp: {
              /** A whole number. */
              field: string
              /** Since 1970, UTC. */
              unit: "s" | "ms"
            }
            /** Size of a window. */
            windowSeconds: number
            /** How far behind the newest event one may be and still count. */
            graceSeconds: number
            fields: Array<{
              /** Its name in the event. */
              name: string
              /** Whole numbers reach from −(2^53 − 1) to 2^53 − 1. */
              type: "string" | "integer" | "number" | "boolean"
              /** Every event has it. */
              required?: boolean
              /** Fewest characters; string. */
              minLength?: number
              /** Most characters; string. */
              maxLength?: number
              /** Least value; integer, number. */
              min?: number
              /** Greatest value; integer, number. */
              max?: number
            }>
            measures: Array<{
              /** Its name in the aggregate. */
              name: string
              /** What is made of the events of a window. `distinct` is how many different values a field has: exactly up to 128, beyond that an estimate with a standard error of 1.6 %. */
              kind: "count" | "sum" | "min" | "max" | "distinct"
              /** A field that every event has, for all but `count`: of any type for `distinct`, else a number. */
              field?: string
            }>
          }
        }
      }
      responses: {
        200: {
          content: {
            'application/json': {
              name: string
              /** Cannot be changed. */
              isBuiltIn: boolean
              updatedAt: string | null
              /** Fields by whose values events are counted together. */
              key: Array<string>
              /** When the event happened. */
              timestamp: {
                /** A whole number. */
                field: string
                /** Since 1970, UTC. */
                unit: "s" | "ms"
              }
              /** Size of a window. */
              windowSeconds: number
              /** How far behind the newest event one may be and still count. */
              graceSeconds: number
              fields: Array<{
                /** Its name in the event. */
                name: string
                /** Whole numbers reach from −(2^53 − 1) to 2^53 − 1. */
                type: "string" | "integer" | "number" | "boolean"
                /** Every event has it. */
                required?: boolean
                /** Fewest characters; string. */
                minLength?: number
                /** Most characters; string. */
                maxLength?: number
                /** Least value; integer, number. */
                min?: number
                /** Greatest value; integer, number. */
                max?: number
              }>
              measures: Array<{
                /** Its name in the aggregate. */
                name: string
                /** What is made of the events of a window. `distinct` is how many different values a field has: exactly up to 128, beyond that an estimate with a standard error of 1.6 %. */
                kind: "count" | "sum" | "min" | "max" | "distinct"
                /** A field that every event has, for all but `count`: of any type for `distinct`, else a number. */
                field?: string
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
  '/clients/{clientKrn}/streams/{stream}/aggregates': {
    /** Read the aggregates of a stream */
    get: {
      parameters: {
        path: {
          /** The client (tenant); opaque to Pebbles. */
          clientKrn: string
          /** Name of the stream. */
          stream: string
        }
        query?: {
          /** One key only: its text, or with several fields, or others than strings, a JSON array. */
          key?: string
          /** First window: `2021-01-26T14:44:00` (UTC unless it says otherwise) or seconds since 1970. Default: an hour before `to`. */
          from?: string
          /** Behind the last window. Default: now. */
          to?: string
          /** Seconds: a multiple of the window’s size. */
          step?: number
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
              /** UTC, as in `2021-01-26T14:44:00`. */
              window_start: string
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
  '/clients/{clientKrn}/streams/{stream}/balance': {
    /** Check the books of a stream of a client */
    get: {
      parameters: {
        path: {
          /** The client (tenant); opaque to Pebbles. */
          clientKrn: string
          /** Name of the stream. */
          stream: string
        }
        query?: {
          /** Counts each aggregate. */
          recount?: "true" | "false"
        }
      }
      responses: {
        200: {
          content: {
            'application/json': {
              stream: string
              /** Events that were taken in: `counted + late + open + inFlight`. */
              received: number
              /** Events in windows that closed. */
              counted: number
              /** Events whose window had closed. They are kept. */
              late: number
              /** Late events that were added to their aggregate, with LATE_POLICY=revise; the others are in none. */
              revised: number
              /** Events in windows that are still open. */
              open: number
              /** Events in the log that were not looked at yet, counted there. */
              inFlight: number
              /** Events in objects; null when nothing is archived. `received` is also `archived + neverArchived + archiveInFlight`. */
              archived: number | null
              /** Events that left the log while nothing was archived. */
              neverArchived: number | null
              /** Events in the log that are in no object yet, counted there. */
              archiveInFlight: number | null
              /** Log, aggregator, archiver and tables say the same. */
              balanced: boolean
              /** Every number that does not fit. */
              differences: Array<string>
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
  '/clients/{clientKrn}/streams/{stream}/events': {
    /** Take in events of a stream */
    post: {
      parameters: {
        path: {
          /** The client (tenant); opaque to Pebbles. */
          clientKrn: string
          /** Name of the stream. */
          stream: string
        }
        header?: {
          /** Printable ASCII. The same key and request again gets the stored outcome; with another request 422. */
          'idempotency-key'?: string
        }
      }
      requestBody: {
        content: {
          'application/json': Array<Record<string, unknown>>
          'application/x-ndjson': Array<Record<string, unknown>>
        }
      }
      responses: {
        202: {
          content: {
            'application/json': {
              /** Events that are durable now. */
              accepted: number
              /** Of `accepted`: events that were there already, by their id. With the log on Kafka they are found later, and this is 0. */
              duplicates: number
              /** Events that are not valid; they harm no other. */
              refused: Array<{
                /** Its place in the request, from 0 on. */
                item: number
                errors: Array<{
                  field: string
                  message: string
                }>
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
        404: {
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
  '/clients/{clientKrn}/streams/{stream}/late': {
    /** Read events of a stream that came too late */
    get: {
      parameters: {
        path: {
          /** The client (tenant); opaque to Pebbles. */
          clientKrn: string
          /** Name of the stream. */
          stream: string
        }
        query?: {
          /** First window: `2021-01-26T14:44:00` (UTC unless it says otherwise) or seconds since 1970. Default: an hour before `to`. */
          from?: string
          /** Behind the last window. Default: now. */
          to?: string
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
              /** UTC, as in `2021-01-26T14:44:00`: the window that had closed. */
              window_start: string
              /** When that was found. */
              seen_at: string
              /** It was added to the aggregate of its key. */
              revised: boolean
              /** As it was sent. */
              event: Record<string, unknown>
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
  '/metrics': {
    /** What is measured, for Prometheus */
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
