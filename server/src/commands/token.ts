import { Command } from 'commander'
import { readConfig } from '../config.ts'
import { PebblesError } from '../platform/errors.ts'
import { openDevIssuer } from '../platform/tokens/dev-issuer.ts'

export function tokenCommand(): Command {
  return new Command('token')
    .description('print a development token')
    .requiredOption('--email <email>', 'who the token stands for')
    .option('--client <krn>', 'the only client that it may write for')
    .action(async ({ email, client }: { email: string; client?: string }) => {
      const { auth, dataDir, JWT_CLIENT_CLAIM: clientClaim } = readConfig(process.env)
      if (auth !== 'dev')
        throw new PebblesError('misconfigured', `Tokens come from the issuer of AUTH=${auth}.`)
      const issuer = await openDevIssuer({ dataDir, clientClaim })
      console.log(await issuer.issue({ email, client }))
    })
}
