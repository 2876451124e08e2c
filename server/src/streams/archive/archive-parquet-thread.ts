import { parentPort, workerData } from 'node:worker_threads'
import { encodeParquet, type ParquetTask } from './archive-parquet.ts'

const { lines, columns } = workerData as ParquetTask
const bytes = encodeParquet(lines, columns)
parentPort!.postMessage(bytes, [bytes.buffer as ArrayBuffer])
