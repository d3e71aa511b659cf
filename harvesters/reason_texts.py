"""The English texts of reasons, by code. The catalogues in ``languages/locale`` have the same texts
as keys.
"""

from collections.abc import Mapping

from harvesters.definition_texts import DEFINITION_TEXTS

TEXTS: Mapping[str, str] = {
    "other": "%(text)s",
    # why a plan awaits approval
    "no_records": "the source returned no records; the last good data stays",
    "too_few_records": (
        "the source returned %(fetched)s records; its definition expects at least %(expected)s"
    ),
    "missing": (
        "%(count)s of %(total)s published records are missing (%(share)s); the limit is %(limit)s"
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
        "%(count)s of %(total)s records could not be published (%(share)s); the limit is %(limit)s"
    ),
    "keys_repeated": "of these, %(count)s: %(reason)s",
    "too_many_statements": (
        "the record %(key)s has %(count)s statements; the limit is %(limit)s (statements in "
        "[limits] of the source definition)"
    ),
    "too_many_dates": (
        "the recurring events of the file have %(count)s dates; the limit is %(limit)s (dates in "
        "[limits] of the source definition)"
    ),
    "journal_too_large": (
        "the journal would grow by %(size)s bytes for %(received)s bytes received, %(ratio)s for "
        "each; the limit is %(limit)s (journal in [limits] of the source definition)"
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
    "alert_submission_waits": "submissions that wait for a moderator: %(count)s",
    "alert_comment_waits": "comments that wait for a moderator: %(count)s",
    "alert_nomination_waits": "nominations for a prize that wait for a decision: %(count)s",
    "alert_test": "a test message, sent by %(by)s",
    # why a run is incomplete or failed
    "read_up_to": (
        "the list was read up to page %(page)s with %(records)s records, the last of them %(key)s; "
        "then %(error)s"
    ),
    "round_number": (
        "the list ended at a round number of records, %(count)s, and the source reports no total: "
        "it may have more than it lists"
    ),
    "no_deletions": "no record was marked as deleted",
    "short": "the source reported %(reported)s records but returned %(fetched)s",
    "listed_twice": (
        "records that came on two pages: %(count)s; others may have been missed between the pages"
    ),
    "repeated_page": "page %(page)s contains only records of earlier pages",
    "total_decreased": ("the source reported %(before)s records, but %(now)s on page %(page)s"),
    "total_shrank": (
        "the total shrank from %(before)s to %(now)s during the run, so records may be missing"
    ),
    "total_grew": (
        "the total grew from %(before)s to %(now)s during the run, so records may be missing"
    ),
    "list_ended_early": "the list ended after %(fetched)s of %(total)s records",
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
    "file_unreadable": ("the file %(file)s cannot be read, so the keys of its records are unknown"),
    "some_file_unreadable": "a file cannot be read: %(error)s",
    "record_unreadable": "a record cannot be read (%(error)s)",
    "record_unreadable_at": (
        "the record at %(position)s of the list cannot be read, and its key is unknown"
    ),
    "row_key_unreadable": "a row's key cannot be read (%(error)s)",
    "restarted": "interrupted, then restarted",
    "restarted_rules": "interrupted, then restarted: mapping or shapes changed",
    "restarted_remap": "interrupted, then restarted: it was a re-mapping of the archive",
    "crash_loop": (
        "its process was killed %(count)s times after page %(page)s; look for the cause in the "
        "logs of this program and of the system"
    ),
    "inconsistent_fetched": (
        "inconsistent numbers: %(counted)s records fetched, but %(listed)s listed by outcome; "
        "this is a bug, please report it"
    ),
    "inconsistent_published": (
        "inconsistent numbers: %(counted)s records published, but %(listed)s in the ledger; "
        "this is a bug, please report it"
    ),
    "inconsistent_outcome": (
        "inconsistent numbers: %(counted)s records counted as %(outcome)s, but %(listed)s listed; "
        "this is a bug, please report it"
    ),
    "bug": "a fault of this program, please report it (%(error)s)",
    # why a request failed
    "private_address": (
        "%(host)s has the private address %(address)s. To allow it: STOCKTAKE_ALLOW_HOSTS=%(host)s"
    ),
    "invalid_url": "%(url)s: invalid URL: %(error)s",
    "redirect_not_web": "%(address)s: redirects to %(url)s, which is not a web address",
    "too_many_redirects": (
        "%(address)s: more than %(limit)s redirects, the last to %(url)s; correct the source's url"
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
        "%(server)s: the server's certificate is not valid (%(error)s); report this to the registry"
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
        "%(url)s: answered with an HTML page where %(expected)s was expected; open it in a browser"
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
        "%(url)s: not JSON: %(error)s at line %(line)s, column %(column)s; it was sent as %(type)s"
    ),
    "wrong_charset": (
        "%(url)s: its text is %(faults)s; name its charset in the options of the source definition"
    ),
    "not_activities": "%(source)s: %(url)s is not an ActivityStreams collection or a page of one",
    "not_ckan_search": "%(source)s: %(url)s is not a package_search response: results are missing",
    "service_error": "%(source)s: %(url)s says: %(message)s",
    "not_csw": (
        "%(source)s: %(url)s is not a GetRecords response but <%(element)s>; correct the source's "
        "url"
    ),
    "token_repeated": "%(source)s: %(url)s repeats %(kind)s '%(token)s'",
    "kind_token": "the resumption token",
    "kind_cursor": "the cursor",
    "kind_page": "the page",
    "kind_next_page": "the next page",
    "kind_older_page": "the older page",
    "kind_document": "the document",
    "records_repeated": "%(source)s: %(url)s repeats the records of an earlier page",
    "empty_pages": (
        "%(source)s: %(url)s is page %(number)s in a row without a record; its list does not end"
    ),
    "unreadable_in_a_row": (
        "%(source)s: %(number)s responses in a row cannot be read, the last: %(error)s"
    ),
    "not_feed": "%(url)s: neither Atom nor RSS",
    "not_feed_because": "%(url)s: neither Atom nor RSS; %(error)s",
    "not_listing": "%(url)s: not a directory listing of a known web server or code host",
    "not_file_tree": "%(url)s: not a list of a repository's files with their paths",
    "no_file_address": (
        "%(url)s: has no address for '%(path)s'; set the option 'raw' to the address of the files"
    ),
    "no_files": (
        "%(source)s: %(url)s lists no files and no subfolders; set url to a directory listing"
    ),
    "folders_too_deep": (
        "%(source)s: %(url)s is more than %(limit)s folders deep; subfolders do not end"
    ),
    "no_matching_files": (
        "%(source)s: %(url)s shows %(count)s files, none of which matches; set the options "
        "'format' and 'only'"
    ),
    "no_element": "%(source)s: %(url)s holds no record at '%(xpath)s' (the option 'records')",
    "unreadable_page": "%(url)s: the web page cannot be parsed",
    "unreadable_feed": "%(url)s: the feed cannot be parsed",
    "not_iati": (
        "%(url)s: not an IATI activity file: it begins with <%(element)s>, not with <%(expected)s>"
    ),
    "not_search_count": (
        "%(source)s: %(url)s is not a package_search response: results or count are missing"
    ),
    "not_dataset_index": (
        "%(source)s: %(url)s is not an index of the bulk data service: datasets is missing"
    ),
    "empty_package_page": (
        "%(source)s: %(url)s is an empty page after %(start)s of %(total)s packages"
    ),
    "changed_while_read": "%(source)s: %(url)s: %(error)s; run again",
    "not_calendar": "%(url)s: no calendar: it has no BEGIN:VCALENDAR",
    "no_file_list": "%(source)s: %(url)s holds no list at '%(path)s' (the option 'files')",
    "wrong_page_size": (
        "%(source)s: %(url)s gave %(count)s records instead of %(size)s, so a page that cannot be "
        "read cannot be read in pieces; correct the options 'limit' and 'size'"
    ),
    "list_unreadable": "%(error)s; its list cannot be read to the end",
    "list_unreadable_token": (
        "%(error)s (the token was valid until %(expires)s); its list cannot be read to the end"
    ),
    "page_links_next": (
        "%(error)s; only the page itself links to the next one, so the list cannot continue after "
        "it"
    ),
    "page_needs_limit": (
        "%(error)s; set the option 'limit' (the parameter for the page size), so that it can be "
        "read in pieces"
    ),
    "page_size_ignored": (
        "%(error)s; its pages do not have the requested size, so it cannot be read in pieces; "
        "correct the option 'size'"
    ),
    "no_total": "%(source)s: %(url)s holds no number at '%(path)s' (the option 'total')",
    "no_records_at": (
        "%(source)s: %(url)s holds no records at '%(path)s' (the option 'records'); it is %(kind)s"
    ),
    "json_object": "an object with %(members)s",
    "stream_too_long": "%(source)s: its stream has more than %(limit)s pages; it does not end",
    "not_stream_page": (
        "%(source)s: %(url)s is not a page of an event stream: it has neither members nor relations"
    ),
    "not_stream": (
        "%(source)s: %(url)s is not an event stream: it has no view, members or relations"
    ),
    "no_set": (
        "%(source)s: no set is called %(sets)s; the repository has %(available)s; correct the "
        "option 'set'"
    ),
    "no_prefix": "%(error)s; it has %(available)s; correct the option 'prefix'",
    "no_oai_record": "%(source)s: %(url)s holds no record",
    "unknown_granularity": (
        "%(source)s: %(url)s declares the granularity '%(granularity)s', which is not one of "
        "OAI-PMH's two"
    ),
    "not_oai": (
        "%(source)s: %(url)s is not an OAI-PMH response but <%(element)s>; correct the source's url"
    ),
    "no_verb": "%(source)s: %(url)s holds no %(verb)s",
    "same_base": (
        "%(source)s: the IRIs of %(url)s begin with %(base)s, as ours do, so records of the two "
        "cannot be distinguished; set another base for one of the two (STOCKTAKE_BASE), or follow "
        "it with `stocktake mirror`"
    ),
    "no_journal": (
        "%(source)s: %(url)s: there is no journal; set url to the address of a Stocktake's home "
        "page"
    ),
    "no_journal_head": "%(source)s: %(url)s: base, number or id of the newest entry are missing",
    "entries_not_listed": "%(source)s: %(url)s does not list the entries before %(number)s",
    "wrong_entry_id": (
        "%(source)s: entry %(number)s of %(url)sjournal/ is %(id)s, but the head said %(expected)s"
    ),
    "journal_gap": (
        "%(source)s: %(url)s is missing, though later entries are there: its journal has a gap"
    ),
    "journal_broken": "%(source)s: %(url)s: %(error)s; nothing of this run is published",
    "not_data_json": "%(source)s: %(url)s is not a data.json with a list 'dataset' but %(kind)s",
    "no_known_class": (
        "%(source)s: %(url)s has no record of a known class but %(classes)s; set the option 'types'"
    ),
    "too_many_catalogues": (
        "%(source)s: %(url)s links to more than %(limit)s catalogues; they do not end"
    ),
    "not_context": "%(source)s: %(url)s is not a JSON-LD context",
    "not_zip": "%(source)s: %(url)s is not a readable ZIP file",
    "no_manifest": "%(source)s: %(url)s is a ZIP file without a %(name)s",
    "no_resource_list": "%(source)s: %(url)s leads to neither a resource list nor a resource dump",
    "not_resourcesync": (
        "%(source)s: %(url)s is not a ResourceSync document: <%(element)s> without a capability; "
        "set url to its source description, such as /.well-known/resourcesync"
    ),
    "not_dump_manifest": (
        "%(source)s: the manifest of %(url)s has the capability '%(capability)s', not that of a "
        "dump manifest"
    ),
    "lists_too_deep": (
        "%(source)s: %(url)s is more than %(limit)s documents deep; its lists do not end"
    ),
    "subjects_incomplete": (
        "%(source)s: %(url)s lists subjects without their IRI or number: %(error)s"
    ),
    "subjects_unsorted": "%(source)s: %(url)s does not list its subjects sorted by IRI",
    "no_number": "%(source)s: %(url)s returned no number for a COUNT query",
    "not_select_result": (
        "%(source)s: %(url)s answered with something other than SPARQL results for a SELECT query"
    ),
    "boolean_result": "%(source)s: %(url)s answered with yes or no for a SELECT query",
    "partial_result": (
        "%(source)s: %(url)s returned a partial result (%(state)s); reduce the options `page` and "
        "`size`"
    ),
    "truncated_description": "%(url)s: truncates its responses (here to %(count)s statements)",
    "not_submissions": (
        "%(source)s: %(url)s is no list of submissions, an object with `accepted` and `withdrawn`"
    ),
    "wrong_table_charset": (
        "%(url)s: its text is %(faults)s; set the option 'charset' in the source definition"
    ),
    "table_truncated": (
        "%(subject)s is truncated: %(error)s, in the row that begins at line %(line)s"
    ),
    "no_sheet": "%(subject)s has no sheet %(sheet)s, only %(available)s",
    "not_spreadsheet": "%(subject)s is not a readable spreadsheet",
    "no_header": "%(source)s: %(url)s has no header line",
    "no_header_because": "%(source)s: %(url)s has no header line: %(error)s",
    "no_column": (
        "%(source)s: %(url)s has no column '%(column)s', only %(available)s; set the option 'key' "
        "to the key's column, or 'digest' to columns that identify records"
    ),
    "no_carried_columns": (
        "%(source)s: %(url)s has no columns %(names)s, which the option 'carry' names; headings "
        "can fill one such column"
    ),
    "no_key_column": (
        "%(source)s: %(url)s has no column that the field 'key' (%(field)s) names, only "
        "%(available)s; set the option 'key' to the key's column, or 'digest' to columns that "
        "identify records"
    ),
    "page_without_record": (
        "%(source)s: %(url)s is a page without a record of a known class; set the option 'types'"
    ),
    "sitemaps_too_deep": (
        "%(source)s: %(url)s holds sitemaps more than %(limit)s deep; its sitemaps do not end"
    ),
    "sitemap_elsewhere": (
        "%(source)s: %(url)s lists %(count)s pages, all on another host (%(hosts)s), which are not "
        "read; set url to the sitemap of that host"
    ),
    "not_sitemap": (
        "%(url)s: not a sitemap but <%(element)s>; set url to a sitemap, a robots.txt or a page"
    ),
    "sitemap_too_large": "%(url)s: its sitemap has more than %(limit)s bytes when decompressed",
    "not_gzip": "%(url)s: the gzip file cannot be decompressed: %(error)s",
    "not_sitemap_text": "%(url)s: not a sitemap: neither XML nor a list of web addresses",
    "sitemap_too_long": (
        "%(url)s: has %(count)s entries, more than the %(limit)s that a sitemap may have"
    ),
    "not_rdf": "%(url)s: not %(format)s that can be read",
    "no_statement": "%(url)s: holds no statement of RDF, read as %(format)s",
    "no_statement_because": "%(url)s: holds no statement of RDF, read as %(format)s: %(error)s",
    "terms_too_deep": "%(subject)s: triple terms are nested more than %(limit)s deep",
    "unknown_context": (
        "%(url)s: its JSON-LD needs the context %(context)s, which is not built in; name it in "
        "the option `contexts` to allow it"
    ),
    "rdf_xml_text": (
        "%(url)s: its RDF/XML holds text between its elements, and is too large to be repaired"
    ),
    "no_reader": (
        "no process that reads responses can be started: %(error)s; free some memory, then run "
        "again"
    ),
    "service_says": "%(source)s: %(url)s says %(message)s",
    # why an action is refused
    "unknown_run": "there is no run %(run)r; to list runs: `stocktake runs`",
    "unknown_plan": (
        "there is no plan %(run)r; to list the plans that await approval: `stocktake plans list`"
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
    # why a record is not published
    "broken_rule": "%(message)s (%(property)s)",
    "erased": "removed on request",
    "cleared": "its source was cleared by an operator",
    "mapping_failed": (
        "mapping %(mapping)s failed on this record (%(error)s): this is a bug, please report it"
    ),
    "record_repeated": "the same record occurred before in this run",
    "key_repeated": (
        "its key occurred before in this run, in a record with other content; the first record "
        "with it counts"
    ),
    "key_repeated_in_table": (
        "its key occurred before in this run, in a row with other content; the first row with it "
        "counts; to publish both, set the option %(key)s"
    ),
    "listed_under_other_key": "its source lists the same record under another key",
    "lost": "not found at its source in %(count)s full harvests since %(since)s",
    "not_seen": "not seen since %(since)s UTC; still served",
    "publication_undone": "its publication by %(run)s was undone by an operator",
    "not_seen_before_undone": "not seen before the approval that was undone; still served",
    # why a record cannot be read
    "record_not_object": "a record that is not an object: %(text)s",
    "record_holds": "a record that holds %(error)s",
    "record_broken": "a record that cannot be read: %(error)s",
    "record_without_key": "a record without a key, which has %(members)s; set the option 'key'",
    "no_value_of_key": (
        "a record without a value at '%(path)s', where the definition has its key; it has "
        "%(members)s"
    ),
    "record_without_identifier": "a record without an identifier, titled %(title)s",
    "activity_unreadable": "%(url)s: the activity %(key)s cannot be read",
    "activity_without_identifier": "an activity without an iati-identifier, titled %(title)s",
    "feed_entry_without_key": ("an entry with neither an identifier nor a link, titled %(title)s"),
    "listed_record": "the record at %(position)s of the list: %(error)s",
    "this_file_unreadable": "the file cannot be read: %(error)s",
    "row_cells": "line %(line)s: %(count)s cells where the header has %(expected)s",
    "row_key_control": (
        "line %(line)s: the key has the control character %(character)s; set the option 'charset' "
        "to that of the text"
    ),
    "joined_row_alone": "sheet %(sheet)s: no record has the key %(key)s",
    "row_without_key": "line %(line)s: the key is empty",
    "line_unreadable": "line %(line)s: %(error)s",
    "activity_not_object": "an activity that is not an object: %(text)s",
    "activity_without_object": "an activity %(id)s whose object has no id",
    "object_without_see_also": "its object has no address in seeAlso",
    "activity_file_unreadable": "an activity file that cannot be read to its end: %(error)s",
    "file_without_record": "%(url)s: has no record of a known class",
    "not_json_object": "%(url)s: expected a JSON object, not a %(kind)s",
    "file_holds": "%(url)s: holds %(error)s",
    "no_primary_topic": "%(graph)s has no primary topic",
    "version_not_iri": "the name of its latest version is not an IRI: %(error)s",
    "version_empty": "its latest version has no statements about it",
    "entry_not_element": "%(entry)s is not an element; the option 'records' must select elements",
    "entry_without_link": "an entry without a link to its page: %(text)s",
    "entry_without_key": "an entry without a key: %(text)s",
    "entry_unreadable": "an entry that cannot be read",
    "event_unreadable": "an event that cannot be read",
    "event_without_uid": "event %(number)s of the calendar has no UID, titled %(title)s",
    "metadata_not_rdf": (
        "its metadata, <%(element)s>, is not RDF/XML whose first resource has an IRI (rdf:about)"
    ),
    "no_oai_header": "a record without a header",
    "no_oai_identifier": "a record without an identifier",
    "no_oai_metadata": "a record without metadata",
    "document_empty": "%(url)s has no statements about it",
    "part_unreadable": "%(part)s cannot be read: %(error)s",
    "unnamed_part": "a part of the document",
    "unnamed_node": "a node without an IRI",
    "node_without_key": "%(node)s: it has neither an identifier nor its own page, so it has no key",
    "name_not_iri": "the endpoint's name for it is not an IRI",
    # notices of a run
    "same_page": "%(key)s has the same web address as %(other)s of %(source)s",
    "same_content": "%(key)s has the same content as %(other)s of %(source)s",
    "override_used": "%(by)s allowed %(limit)s up to %(value)s once",
    "clock_set_back": (
        "the clock shows %(clock)s, earlier than %(started)s of a previous run; the run uses the later time"
    ),
    "restores": "restores what was published before %(run)s",
    # errors of the journal, which writes the same texts in English
    "journal_entry_missing": (
        "journal %(folder)s: entry %(number)s is missing before %(next)s; restore it from a mirror"
    ),
    "journal_number_taken": (
        "journal %(folder)s: another writer has taken number %(number)s; run %(run)s again"
    ),
    "journal_not_written": (
        "journal %(folder)s: run %(run)s could not be written: %(error)s; free disk space or "
        "fix the directory, then run again"
    ),
    "journal_is_mirror": (
        "journal %(folder)s is a mirror of %(url)s, so run %(run)s is not written to it; "
        "harvest into another directory (--data)"
    ),
    "journal_store_gap": (
        "%(where)s has entry %(newest)s, but entry %(missing)s is missing or cannot follow entry "
        "%(number)s; restore it from a backup or a mirror, then run again"
    ),
    "journal_store_emptied": (
        "%(where)s has no entry %(number)s, which is %(id)s in %(folder)s: it was emptied or "
        "replaced; put the entries of %(folder)s back there, or use an empty data folder"
    ),
    "journal_store_differs": (
        "%(where)s has another entry %(number)s than %(folder)s: %(other)s there, %(id)s here; it "
        "is cut short, or another installation's; put the entries of %(folder)s back there, or use "
        "an empty data folder"
    ),
    "journal_store_forbidden": (
        "object store %(url)s: cannot read or write %(name)s: %(error)s; "
        "give these keys the permission to list, read and write there, then run again"
    ),
    "journal_store_no_bucket": (
        "object store %(url)s: cannot read or write %(name)s: %(error)s; "
        "create the bucket first, then run again"
    ),
    "journal_store_failed": (
        "object store %(url)s: cannot read or write %(name)s: %(error)s; "
        "check that it answers, then run again"
    ),
    "journal_entry_unreadable": (
        "journal entry %(number)s: %(path)s cannot be read to its end: %(error)s"
    ),
    "journal_entry_cut": "journal entry %(number)s: %(path)s ends before its commit (TC)",
    "journal_entry_changed": (
        "journal entry %(number)s: %(path)s does not match its id; restore it from a mirror"
    ),
    **DEFINITION_TEXTS,
}
