import { type Column, type Dataset, takenReason } from './dataset.ts'
import { emailFault } from './email.ts'

const TEXT = {
  aliases: [],
  sqlType: 'text',
  fallback: null,
  requiredReason: 'is required',
  isCaseless: false,
} satisfies Partial<Column>

/** The built-in dataset. Beyond the rules of a single row, `email` is unique within a client whatever its case. */
export const CUSTOMERS: Dataset = {
  name: 'customers',
  table: 'customers',
  columns: [
    { ...TEXT, name: 'name', isRequired: true },
    { ...TEXT, name: 'email', isRequired: true, isCaseless: true, findFault: emailFault },
    { ...TEXT, name: 'phone', isRequired: false },
    { ...TEXT, name: 'company', isRequired: true },
  ],
  uniqueKeys: [{ columns: ['email'], takenReason }],
}
