import type { Dataset } from './dataset.ts'
import { emailFault } from './email.ts'

/** The built-in dataset. Beyond the rules of a single row, `email` is unique within a client whatever its case. */
export const CUSTOMERS = {
  name: 'customers',
  columns: [
    { name: 'name', isRequired: true },
    { name: 'email', isRequired: true, findFault: emailFault },
    { name: 'phone', isRequired: false },
    { name: 'company', isRequired: true },
  ],
} as const satisfies Dataset
