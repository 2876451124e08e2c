/** What an AWS SDK wants before it speaks to anything, in its own names. It opens nothing but the servers of this folder. */
export const LOCAL_AWS = {
  AWS_REGION: 'us-east-1',
  AWS_ACCESS_KEY_ID: 'pebbles-development',
  AWS_SECRET_ACCESS_KEY: 'pebbles-development',
}
