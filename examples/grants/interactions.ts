/** Login and consent: what the authorization server asks its user before it answers the client. */
import express, { type ErrorRequestHandler, type Router } from 'express'
import type { Interaction, Provider } from 'oidc-provider'
import { rightPassword } from './accounts.js'
import { consentPage, loginPage, messagePage, pageHeaders } from './pages.js'

/** oidc-provider ties each of these addresses to the browser that began the request, by a cookie with SameSite=Lax. */
export function interactions(provider: Provider): Router {
  const router = express.Router()
  // Not for all routes: oidc-provider reads its own bodies.
  const form = express.urlencoded({ extended: false })

  router.get('/interaction/:uid', async (request, response) => {
    const { uid, prompt, params } = await provider.interactionDetails(request, response)
    const client = await provider.Client.find(String(params.client_id))
    const html =
      prompt.name === 'login'
        ? loginPage(`/interaction/${uid}/login`)
        : consentPage(`/interaction/${uid}/consent`, client?.clientName ?? String(params.client_id), asked(prompt))
    response.set(pageHeaders).send(html)
  })

  router.post('/interaction/:uid/login', form, async (request, response) => {
    const { uid, prompt } = await provider.interactionDetails(request, response)
    const { name, password } = request.body ?? {}
    if (prompt.name === 'login' && (await rightPassword(name, password))) {
      await provider.interactionFinished(request, response, { login: { accountId: name } }, { mergeWithLastSubmission: false })
      return
    }
    response
      .status(401)
      .set(pageHeaders)
      .send(loginPage(`/interaction/${uid}/login`, 'Wrong name or password.'))
  })

  router.post('/interaction/:uid/consent', form, async (request, response) => {
    const interaction = await provider.interactionDetails(request, response)
    const allowed = interaction.prompt.name === 'consent' && request.body?.answer === 'allow'
    const result = allowed
      ? { consent: { grantId: await grant(provider, interaction) } }
      : { error: 'access_denied', error_description: 'The user declined.' }
    await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: allowed })
  })

  const failed: ErrorRequestHandler = (error, _request, response, next) => {
    if (error?.name !== 'SessionNotFound') return next(error)
    response.status(400).set(pageHeaders).send(messagePage('Start again', 'This page has expired. Go back to the application.'))
  }
  router.use(failed)
  return router
}

/** All that was asked for and that the user has not allowed this client before. */
function asked({ details }: Interaction['prompt']): string[] {
  return [...new Set([...(details.missingOIDCScope ?? []), ...Object.values(details.missingResourceScopes ?? {}).flat()])]
}

async function grant(provider: Provider, { grantId, params, prompt, session }: Interaction): Promise<string> {
  const before = grantId === undefined ? undefined : await provider.Grant.find(grantId)
  const grant = before ?? new provider.Grant({ accountId: session!.accountId!, clientId: params.client_id! })
  const { missingOIDCScope, missingOIDCClaims, missingResourceScopes = {} } = prompt.details
  if (missingOIDCScope) grant.addOIDCScope(missingOIDCScope.join(' '))
  if (missingOIDCClaims) grant.addOIDCClaims(missingOIDCClaims)
  for (const [resource, scopes] of Object.entries(missingResourceScopes)) grant.addResourceScope(resource, scopes.join(' '))
  return grant.save()
}
