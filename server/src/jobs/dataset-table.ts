import { CUSTOMERS } from '../datasets/customers.ts'

/** Name of the table that a dataset's rows are in, unquoted. */
export function tableOfDataset(name: string): string {
  if (name !== CUSTOMERS.name) throw new Error(`there is no dataset ${name}`)
  return CUSTOMERS.table
}
