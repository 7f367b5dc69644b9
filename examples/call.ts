/** Calls an API the way a client does, for the examples, and gives what the client sees. */
export interface Answer {
  status: number
  challenge: string | null
  body: string
}

/** @param token left out: a call without credentials */
export async function callApi(url: string, token?: string): Promise<Answer> {
  const response = await fetch(url, { headers: token ? { authorization: `Bearer ${token}` } : {} })
  return { status: response.status, challenge: response.headers.get('www-authenticate'), body: await response.text() }
}
