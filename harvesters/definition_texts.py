"""The English texts of faults in source definitions and in rules of alerts, by code, as in
``reason_texts``.
"""

from collections.abc import Mapping

DEFINITION_TEXTS: Mapping[str, str] = {
    "located": "%(where)s: %(fault)s",
    "not_toml": "invalid TOML: %(error)s",
    "definition_too_long": "a definition can have at most %(most)s characters",
    "source_name": "the name %(name)s is part of every IRI: use a to z, 0 to 9 and hyphens",
    # keys and values
    "unknown_key": "unknown key %(name)s; %(suggestion)s",
    "unknown_definition_limit": "unknown limit %(name)s; %(suggestion)s",
    "unknown_field": "unknown field %(name)s; %(suggestion)s",
    "unknown_crosswalk": "unknown crosswalk %(name)s; %(suggestion)s",
    "unknown_option": "unknown option %(name)s of %(protocol)s with %(mapping)s; %(suggestion)s",
    "plugin_broken": (
        "the plugin %(name)s of the package %(package)s cannot be used: %(error)s; "
        "update the package, or uninstall it"
    ),
    "unknown_protocol": "protocol %(name)s is unknown; %(suggestion)s",
    "unknown_mapping": "mapping %(name)s is unknown; %(suggestion)s",
    "did_you_mean": "did you mean %(name)s?",
    "known_names": "known are %(names)s",
    "key_missing": "%(name)s is missing",
    "option_missing": "option %(name)s is missing: %(help)s",
    "value_expected": "%(key)s is %(value)s; write %(kind)s",
    "not_one_of": "%(key)s is %(value)s; use one of %(names)s",
    "limit_named": "limit %(name)s",
    "option_named": "option %(name)s",
    "field_named": "field %(name)s",
    "rule_named": "rule %(name)s",
    # what a value must be
    "kind_text": "text",
    "kind_whole": "a whole number",
    "kind_number": "a number",
    "kind_bool": "true or false",
    "kind_list": "a list",
    "kind_texts": "a list of texts",
    "kind_table": "a TOML table",
    "kind_or": "%(first)s or %(second)s",
    "kind_not_negative": "a number from 0 up",
    "kind_pause": "a number of seconds from 0 to 86400",
    "kind_positive": "a number from 1 up",
    "kind_share": "a share from 0 to 1, such as 0.1 for a tenth",
    "kind_mail": "a mail address",
    "kind_web": "an http or https address",
    "kind_licence": "a URL, e.g. https://creativecommons.org/licenses/by/4.0/",
    "kind_expression": "the JMESPath or XPath as text",
    "kind_window": "HH:MM-HH:MM in UTC, such as 22:00-06:00",
    "kind_zone": "a time zone, e.g. Africa/Nairobi",
    "kind_character": "one character",
    "kind_sheet": "a name or a number from 1",
    "quiet_empty": "quiet is %(value)s: start and end are equal; to stop harvesting a source set `enabled = false`",
    "not_cron": 'every %(value)s is no cron line of five fields: %(error)s; write e.g. "0 3 * * *", each day at 3:00 UTC',
    # protocol, mapping and fields
    "mapping_does_not_fit": (
        "mapping %(mapping)s cannot read what protocol %(protocol)s brings, %(payload)s; these can: %(mappings)s"
    ),
    "fields_not_used": "[fields] is for mapping 'fields'; mapping %(mapping)s has its own, so remove the table",
    "fields_missing": "mapping 'fields' needs a [fields] table, at least with 'title'",
    "field_without_language": "field %(name)s takes no language; only %(names)s do",
    "field_key": "field 'key' is not allowed here: the protocol's own identifier is the key",
    "field_amounts": "field 'amounts' reads objects, which only rows have",
    "model_not_usable": "suggest is 'model', but %(error)s",
    # expressions
    "not_regex": "%(where)s is no regular expression: %(error)s",
    "not_jmespath": "%(text)s is no JMESPath: %(error)s",
    "not_xpath": "%(text)s is not an XPath: %(error)s",
    "path_no_token": "%(text)s is no path at character %(position)s: write e.g. dct:title, or dct:publisher/foaf:name",
    "path_no_mark": "a / or | is missing before %(text)s",
    "path_brackets": "brackets hold properties with | between them, such as (dct:creator|dct:publisher)/foaf:name",
    "path_no_property": "a property is missing before %(text)s",
    "path_no_end": "a property is missing at the end of the path",
    "path_prefix": "the prefix %(prefix)s is not known; give its address in the option `namespaces`",
    # options of protocols
    "two_keys": "options %(first)s and %(second)s both define the key; keep one",
    "two_pagings": "options %(first)s and %(second)s both define paging; keep one",
    "cursor_without_next": "option 'cursor' needs 'next', the JMESPath to the next cursor",
    "no_key": "records have no key; set the option 'key', 'digest' or 'details'",
    "types_not_iri": "option 'types' holds %(value)s; write an IRI, or a name whose prefix is known: %(example)s",
    "no_selection": "set either the option 'types' or the option 'pattern', which selects the records",
    "pattern_with_service": "option 'pattern' asks another endpoint (SERVICE); create a source for that one",
    "pattern_without_subject": "option 'pattern' does not bind ?subject",
    "not_sparql": "the options 'pattern', 'types' and 'modified' give an invalid SPARQL query: %(error)s",
    "fields_unmatched": (
        "these fields of the definition match nothing in the records: %(fields)s; the records "
        "have the fields %(names)s"
    ),
    "would_repeat": "%(count)s of the %(total)s records read would not be published: %(reason)s",
    "would_be_incomplete": "a run would be incomplete: %(reason)s",
    "charset_guessed": (
        "The text states no charset and was read as %(charset)s. If letters are wrong, set the "
        "option 'charset' in the source definition."
    ),
    # tables of curators
    "at_line": "%(file)s, line %(line)s",
    "columns_missing": "no column %(missing)s; the columns are %(columns)s, separated by tabs",
    "row_date": "%(value)s is no date; write it as 2026-01-31",
    "word_missing": "there is no word",
    "word_too_long": "the word has %(length)s characters; the most are %(most)s",
    "word_repeated": "the word %(word)s has a concept in a line above",
    "word_concept": (
        "unknown concept %(concept)s; write it as sdg:4, sdg:4.4, area:404, or with one of "
        "%(schemes)s as action-line:C7-ehea"
    ),
    "record_missing": "there is no record",
    "topic_concept": (
        "unknown concept %(concept)s; write it as sdg:4, sdg:4.4 or action-line:C7-ehea"
    ),
    "decision_unknown": "%(value)s is no decision; write one of %(names)s",
    "suggestion_incomplete": (
        "a suggested topic needs its method in mapping_tool and a confidence from 0 to 1"
    ),
    "decision_repeated": "a line above is about the same record and concept",
    # rules of alerts
    "rules_too_long": "more than %(most)s bytes",
    "table_unreadable": "cannot be read: %(error)s; save it as UTF-8 text",
    "rules_without_table": "write each rule as a table [[rule]]",
    "rule_repeated": "there are two of this name",
    "rule_without_name": "give it a name of 1 to 60 visible characters",
    "rule_without_limit": "%(condition)s has no limit; remove it",
    "rule_global": "%(condition)s is about the whole installation; remove sources",
    "rule_without_recipient": "name who is notified: mail = [...], webhook = [...], or both",
}
