import { compileDataset } from './compile.ts'
import type { Declaration } from './declaration.ts'

/** The built-in dataset, in a table of its own that all clients share. An e-mail address is there once per client. */
export const CUSTOMERS_DECLARATION: Declaration = {
  name: 'customers',
  columns: [
    { name: 'name', type: 'text', required: true },
    { name: 'email', type: 'email', required: true },
    { name: 'phone', type: 'text' },
    { name: 'company', type: 'text', required: true },
  ],
  uniqueKeys: [{ columns: ['email'] }],
}

export const CUSTOMERS = compileDataset(CUSTOMERS_DECLARATION, 'customers')
