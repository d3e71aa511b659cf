"""The English texts of reasons, by code. The catalogues in ``languages/locale`` have the same texts as keys."""

from collections.abc import Mapping

TEXTS: Mapping[str, str] = {
    "other": "%(text)s",
    # why a plan awaits approval
    "no_records": "the source returned no records; the last good data stays",
    "too_few_records": (
        "the source returned %(fetched)s records; its definition expects at least %(expected)s"
    ),
    "missing": (
        "%(count)s of %(total)s published records are missing (%(share)s); the limit is "
        "%(limit)s"
    ),
    "deleted": (
        "%(count)s of %(total)s published records were deleted by the source (%(share)s); the "
        "limit is %(limit)s"
    ),
    "missing_or_deleted": (
        "%(count)s of %(total)s published records are missing or were deleted (%(deleted)s) "
        "(%(share)s); the limit is %(limit)s"
    ),
    "changed": (
        "%(count)s of %(total)s published records changed (%(share)s); the limit is %(limit)s"
    ),
    "reidentified": (
        "%(count)s of %(total)s published records have another key (%(share)s); the limit is "
        "%(limit)s"
    ),
    "withheld": (
        "%(count)s of %(total)s records could not be published (%(share)s); the limit is "
        "%(limit)s"
    ),
    "on_hold": "%(by)s holds the source since %(since)s UTC",
    "on_hold_because": "%(by)s holds the source since %(since)s UTC: %(note)s",
    "planned_clear": "%(by)s asks to remove all records of the source: %(count)s",
    "planned_forget": "%(by)s asks to remove one record for good",
    "planned_retire": "%(by)s asks to retire the source; its records stay",
    "review": (
        "review it with `stocktake plans show %(run)s --diff`, then `stocktake plans approve "
        "%(run)s` or `stocktake plans reject %(run)s`"
    ),
    # what became of a plan
    "superseded": "superseded by the plan of %(run)s",
    "rejected": "rejected by %(by)s",
    "rejected_because": "rejected by %(by)s: %(note)s",
    "was_held": "the plan awaited approval",
    "undone": "undone by %(by)s; %(run)s restored what was published before",
    "undone_because": "undone by %(by)s: %(note)s; %(run)s restored what was published before",
    "kept": "the plan is kept; the schedule or `stocktake harvest %(source)s` will write it",
    # what an alert is about
    "alert_plan_waits": "%(source)s: the change %(run)s waits for approval",
    "alert_failing": "%(source)s: consecutive failures: %(count)s; the last: %(reason)s",
    "alert_late": "%(source)s: no successful run since the last one was due",
    "alert_withheld": "%(source)s: %(count)s of %(total)s records of the last run were withheld",
    "alert_disk_low": "free disk space: %(free)s GB; the limit is %(limit)s GB",
    "alert_test": "a test message, sent by %(by)s",
    # why a run is incomplete or failed
    "no_deletions": "no record was marked as deleted",
    "short": "the source reported %(reported)s records but returned %(fetched)s",
    "listed_twice": (
        "records that came on two pages: %(count)s; others may have been missed between the pages"
    ),
    "repeated_page": "page %(page)s contains only records of earlier pages",
    "total_decreased": (
        "the source reported %(before)s records, but %(now)s on page %(page)s"
    ),
    "total_shrank": (
        "the total shrank from %(before)s to %(now)s during the run, so records may be missing"
    ),
    "total_grew": (
        "the total grew from %(before)s to %(now)s during the run, so records may be missing"
    ),
    "list_ended_early": "the list ended after %(fetched)s of %(total)s records",
    "listed_too_few": "the endpoint listed %(listed)s of %(total)s records",
    "list_gap": (
        "the list continues at its record %(next)s instead of %(expected)s, so records are missing"
    ),
    "ended_no_records_match": (
        "the list ended with noRecordsMatch instead of an empty resumption token"
    ),
    "page_not_listed": (
        "a page of ListRecords cannot be read, and ListIdentifiers lists none of its records"
    ),
    "resumed_at_datestamp": (
        "the list was resumed at the datestamp %(newest)s, up to which it was sorted; this alone "
        "does not prove that it is complete"
    ),
    "resumed_at_changes": (
        "the list was resumed at changes since %(newest)s, up to which it was sorted; this alone "
        "does not prove that it is complete"
    ),
    "datestamp_unreadable": (
        "the records of %(datestamp)s can be neither read nor listed: %(error)s"
    ),
    "no_count": (
        "the endpoint does not count its records, so missing ones would not be noticed: %(error)s"
    ),
    "retention_policy": (
        "the stream's retention policy drops old members, so missing entities may still exist"
    ),
    "newest_only": (
        "the feed has its newest entries only, so missing entries are not known to be deleted"
    ),
    "feed_malformed": "the feed is not well-formed: %(error)s",
    "listing_truncated": "%(url)s says that its list of files is truncated",
    "parts_unreadable": "%(url)s has parts that cannot be read: %(error)s",
    "catalogue_unreadable": "the catalogue %(url)s cannot be read: %(error)s",
    "page_unreadable": "the page %(page)s cannot be read, so its records are unknown",
    "markup_unreadable": "the markup of %(page)s cannot be read",
    "file_unreadable": (
        "the file %(file)s cannot be read, so the keys of its records are unknown"
    ),
    "some_file_unreadable": "a file cannot be read: %(error)s",
    "record_unreadable": "a record cannot be read (%(error)s)",
    "record_unreadable_at": (
        "the record at %(position)s of the list cannot be read, and its key is unknown"
    ),
    "package_unreadable": (
        "the package at %(position)s of the search cannot be read, and its id is unknown"
    ),
    "row_key_unreadable": "a row's key cannot be read (%(error)s)",
    "restarted": "interrupted, then restarted",
    "restarted_rules": "interrupted, then restarted: mapping or shapes changed",
    "restarted_remap": "interrupted, then restarted: it was a re-mapping of the archive",
    "crash_loop": (
        "its process was killed %(count)s times after page %(page)s; look for the cause in the "
        "logs of this program and of the system"
    ),
    "bug": "a fault of this program, please report it (%(error)s)",
    # why a request failed
    "private_address": (
        "%(host)s has the private address %(address)s. To allow it: "
        "STOCKTAKE_ALLOW_HOSTS=%(host)s"
    ),
    "invalid_url": "%(url)s: invalid URL: %(error)s",
    "redirect_not_web": "%(address)s: redirects to %(url)s, which is not a web address",
    "too_many_redirects": (
        "%(address)s: more than %(limit)s redirects, the last to %(url)s; correct the source's "
        "url"
    ),
    "no_connection": (
        "could not connect to %(server)s (%(error)s); check that the registry is running, and "
        "that the source's url is right"
    ),
    "no_connection_in_time": "no answer in time",
    "unknown_cause": "no reason is known",
    "connection_broke": (
        "%(server)s: the connection broke before a response began (%(error)s); try again later"
    ),
    "invalid_certificate": (
        "%(server)s: the server's certificate is not valid (%(error)s); report this to the "
        "registry"
    ),
    "no_answer_in_time": "%(url)s: no answer in time: %(error)s",
    "invalid_http": "%(url)s: the response is not HTTP: %(error)s",
    "status": "%(url)s: answered %(status)s",
    "status_retry": "%(url)s: answered %(status)s and asks to retry in %(seconds)s seconds",
    "forbidden": (
        "%(url)s: answered %(status)s; correct the source's url, or ask the registry to let us in"
    ),
    "not_found": (
        "%(url)s: answered %(status)s; correct the source's url, or ask the registry where it is "
        "now"
    ),
    "bot_protection": (
        "%(url)s: answered %(status)s by bot protection (%(vendor)s), so the registry was not "
        "reached; %(remedy)s"
    ),
    "unblock": (
        'ask its publisher to allow %(page)s to the User-Agent %(token)s/; we are "%(agent)s". In '
        'its robots.txt: "User-agent: %(token)s" and on the next line "Allow: %(path)s".'
    ),
    "unblock_firewall": (
        'ask its publisher to allow %(page)s to the User-Agent %(token)s/; we are "%(agent)s". In '
        'its firewall: %(rule)s. In its robots.txt: "User-agent: %(token)s" and on the next line '
        '"Allow: %(path)s".'
    ),
    "robots_forbids": (
        '%(url)s: %(robots)s forbids it in line %(number)s, "%(line)s"; ask its publisher for '
        '"User-agent: %(token)s" and "Allow: %(path)s" there, or for a grant'
    ),
    "robots_unavailable": (
        "%(error)s; without a readable robots.txt no requests are allowed (RFC 9309); try again "
        "later"
    ),
    "quiet_hours": "%(host)s: its quiet hours are %(hours)s UTC; the run goes on after %(end)s UTC",
    "stalled": "%(url)s: stalled after %(size)s bytes: %(error)s",
    "broke_off": "%(url)s: broke off after %(size)s bytes: %(error)s",
    "response_too_slow": "%(url)s: the response exceeded its time limit",
    "wrong_encoding": "%(url)s: its body is not in the encoding that it declares: %(error)s",
    "too_large": (
        "%(url)s: over %(limit)s bytes; ask for smaller pages in the options of the source "
        "definition"
    ),
    "file_too_large": (
        "%(url)s: has %(size)s bytes, more than the %(limit)s that may come; raise --largest if "
        "you trust it"
    ),
    "ranges_differ": "%(url)s: its ranges do not fit together; the next attempt starts again",
    "no_content_range": "%(url)s: answered 206 without a valid Content-Range",
    "response_not_stored": (
        "%(url)s: cannot be kept in %(folder)s: %(error)s; free space, then run again"
    ),
    "archive_not_written": (
        "archive %(path)s: %(error)s; free disk space or fix the directory, then run again"
    ),
    "archive_not_read": "archive %(path)s: %(error)s; missing responses must be requested again",
    "not_archived": (
        "%(url)s is not in the archive %(archive)s, as when the source or a protocol has changed; "
        "`stocktake harvest --full` asks the registry itself"
    ),
    "no_answer_archived": "%(url)s: did not answer when the archive %(archive)s was written",
    # why a response cannot be parsed
    "parser_error": "%(subject)s: %(error)s",
    "empty": "%(url)s: empty response; expected %(expected)s",
    "web_page": (
        "%(url)s: answered with an HTML page where %(expected)s was expected; open it in a "
        "browser"
    ),
    "web_page_titled": (
        '%(url)s: answered with an HTML page titled "%(title)s" where %(expected)s was expected; '
        "open it in a browser"
    ),
    "expected_data": "data",
    "expected_table": "a table",
    "expected_feed": "a feed",
    "expected_spreadsheet": "a spreadsheet",
    "expected_calendar": "a calendar",
    "expected_web_page": "a web page",
    "expected_iati": "an IATI file",
    "not_xml": "%(url)s: not well-formed XML",
    "doctype": "%(url)s: its XML has a DOCTYPE, which is refused: it can hide entities",
    "unreadable_json": "%(url)s: not JSON that can be read",
    "not_json": "%(url)s: not JSON: %(error)s at line %(line)s, column %(column)s",
    "not_json_sent_as": (
        "%(url)s: not JSON: %(error)s at line %(line)s, column %(column)s; it was sent as "
        "%(type)s"
    ),
    "wrong_charset": (
        "%(url)s: its text is %(faults)s; name its charset in the options of the source "
        "definition"
    ),
    # why an action is refused
    "unknown_run": "there is no run %(run)r; to list runs: `stocktake runs`",
    "unknown_plan": (
        "there is no plan %(run)r; to list the plans that await approval: `stocktake plans "
        "list`"
    ),
    "would_supersede": (
        "%(source)s: the plan %(plan)s awaits approval, and a new run would supersede it: "
        "%(text)s; to run anyway, confirm with supersede=%(plan)s"
    ),
    "nothing_to_supersede": (
        "%(source)s: no plan %(plan)s awaits approval; to list plans: `stocktake plans list`"
    ),
    "outdated_plan": (
        "%(run)s: %(newer)s has been committed since, so the plan no longer fits; `stocktake "
        "plans reject %(run)s`"
    ),
    "other_source": "%(run)s: this is a plan of %(owner)s, not of %(source)s",
    "superseded_plan": (
        "%(run)s: superseded; %(newer)s awaits approval now; `stocktake plans show %(newer)s`"
    ),
    "not_awaiting": (
        "%(run)s: not awaiting approval (state: %(state)s); to list the plans that await "
        "approval: `stocktake plans list`"
    ),
    "needs_another": (
        "%(run)s: %(by)s approved it already; this source needs the approval of another person too"
    ),
    "not_undoable": (
        "%(run)s: only the newest run of a source can be undone, if a person approved it, until "
        "the next run; see `stocktake runs %(source)s`"
    ),
    "not_on_hold": "%(source)s: not on hold; to list holds: `stocktake sources list`",
    "not_overridable": "%(limit)r is not a limit that holds plans; known limits: %(known)s",
    "unknown_limit": "%(limit)r is not a limit; known limits: %(known)s",
    "not_a_share": "%(limit)s=%(value)s: use a share from 0 to 1, e.g. 0.6",
    "past_override": (
        "the override would end at %(until)s UTC, which is in the past; use a later date"
    ),
    "still_open": (
        "%(source)s: %(run)s was interrupted and is still open; run `stocktake %(command)s "
        "%(source)s` to finish it"
    ),
    "retired": (
        "%(source)s: retired, so it is not harvested; `stocktake sources resume %(source)s` resumes it"
    ),
    "not_retired": "%(source)s: not retired; to list sources: `stocktake sources list`",
    "decide_first": (
        "%(source)s: the plan %(plan)s awaits approval; approve or reject it first: `stocktake plans "
        "show %(plan)s`"
    ),
    "no_archive": (
        "%(source)s: no complete run is archived; run `stocktake harvest %(source)s` first"
    ),
}
