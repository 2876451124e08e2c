import { kafka } from './kafka.ts'
import { mongo } from './mongo.ts'
import { redis } from './redis.ts'
import { s3 } from './s3.ts'
import type { Service, ServiceName } from './service.ts'
import { sqs } from './sqs.ts'

/** Every server that can be brought up. */
export const services: Record<ServiceName, Service> = { kafka, sqs, s3, mongo, redis }
