const JOB_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** Whether a text can be a job's id; anything else PostgreSQL would refuse to compare with one. */
export const isJobId = (text: string): boolean => JOB_ID.test(text)
