import { SQSClient } from '@aws-sdk/client-sqs'

export interface SqsClientOptions {
  region: string
  /** Address of the service. */
  endpoint: string
  /** Requests that may be under way at the same time. */
  maxRequests: number
}

/** Speaks to one SQS with the credentials that the SDK finds: environment, profile, container or machine. */
export function openSqsClient({ region, endpoint, maxRequests }: SqsClientOptions): SQSClient {
  return new SQSClient({
    region,
    endpoint,
    maxAttempts: 2,
    // It would write to the console.
    logger: { debug() {}, info() {}, warn() {}, error() {} },
    requestHandler: {
      connectionTimeout: 5_000,
      httpAgent: { keepAlive: true, maxSockets: maxRequests },
      httpsAgent: { keepAlive: true, maxSockets: maxRequests },
    },
  })
}
