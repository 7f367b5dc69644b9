/** Login and consent: what the authorization server asks a person before it answers the client. */
import express, { type ErrorRequestHandler, type Router } from 'express'
import type { Interaction, Provider } from 'oidc-provider'
import { consentPage, loginPage, messagePage, pageHeaders } from '../grants/pages.js'

/** Whether this is the password of somebody of this name; both come from a form. */
export type RightPassword = (name: string, password: string) => Promise<boolean>

/** How long a code lives. */
export const codeSeconds = 60

/** oidc-provider ties these addresses to the browser that began the request, by a cookie with SameSite=Lax. */
export function consentRoutes(provider: Provider, rightPassword: RightPassword, log: (error: Error) => void): Router {
  const router = express.Router()
  router.use('/interaction', express.urlencoded({ extended: false }))

  router.get('/interaction/:uid', async (request, response) => {
    const { uid, prompt, params } = await provider.interactionDetails(request, response)
    const client = await provider.Client.find(String(params.client_id))
    const html =
      prompt.name === 'login'
        ? loginPage(`/interaction/${uid}/login`)
        : consentPage(
            `/interaction/${uid}/consent`,
            client?.clientName ?? '',
            Object.values(prompt.details.missingResourceScopes ?? {}).flat(),
          )
    response.set(pageHeaders).send(html)
  })

  router.post('/interaction/:uid/login', async (request, response) => {
    const { uid, prompt } = await provider.interactionDetails(request, response)
    const { name = '', password = '' } = request.body ?? {}
    if (prompt.name === 'login' && (await rightPassword(String(name), String(password)))) {
      await provider.interactionFinished(request, response, { login: { accountId: String(name) } }, { mergeWithLastSubmission: false })
      return
    }
    response
      .status(401)
      .set(pageHeaders)
      .send(loginPage(`/interaction/${uid}/login`, 'Wrong name or password.'))
  })

  router.post('/interaction/:uid/consent', async (request, response) => {
    const interaction = await provider.interactionDetails(request, response)
    const allowed = interaction.prompt.name === 'consent' && request.body?.answer === 'allow'
    const result = allowed
      ? { consent: { grantId: await grant(provider, interaction) } }
      : { error: 'access_denied', error_description: 'The user declined.' }
    await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: allowed })
  })

  const failed: ErrorRequestHandler = (error, _request, response, _next) => {
    const expired = error?.name === 'SessionNotFound'
    if (!expired) log(error)
    const message = expired ? 'This page has expired. Go back to the application.' : 'Something went wrong here. Try again later.'
    response
      .status(expired ? 400 : 503)
      .set(pageHeaders)
      .send(messagePage('Start again', message))
  }
  router.use(failed)
  return router
}

async function grant(provider: Provider, { params, prompt, session }: Interaction): Promise<string> {
  const client = await provider.Client.find(params.client_id!)
  const grant = new provider.Grant({ accountId: session!.accountId!, clientId: params.client_id! })
  // As long as the token can live that its code may still become: then nothing is left in the store.
  if (client?.token_seconds !== undefined) grant.expiresIn = codeSeconds + client.token_seconds
  for (const [resource, scopes] of Object.entries(prompt.details.missingResourceScopes ?? {})) {
    grant.addResourceScope(resource, scopes.join(' '))
  }
  return grant.save()
}
