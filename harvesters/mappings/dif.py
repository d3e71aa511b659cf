"""Map DIF, the Directory Interchange Format of NASA, versions 9 and 10: descriptions of the data of
Earth science.

Source: https://www.earthdata.nasa.gov/esdis/esco/standards-and-practices/directory-interchange-format-dif-standard
"""

from __future__ import annotations

from harvesters.mappings.mapping import DocumentOptions
from harvesters.mappings.schema import Part, Schema, doi_links
from harvesters.page_model import Payload
from harvesters.payloads.paths import find_element
from vocab.initiative import Role

_CITATION = "*[self::*:Dataset_Citation or self::*:Data_Set_Citation]"
_DOIS = (
    f"{_CITATION}/*:Persistent_Identifier[*:Type='DOI']/*:Identifier",
    f"{_CITATION}/*:Dataset_DOI",
)


MAPPING = Schema(
    Payload.XML,
    {
        "title": "*:Entry_Title",
        "description": ("*:Summary/*:Abstract", "*:Summary"),
        "identifiers": ("*:Entry_ID/*:Short_Name", "*:Entry_ID"),
        "addresses": [doi_links(*_DOIS), f"{_CITATION}/*:Online_Resource"],
        "languages": "*:Dataset_Language | *:Data_Set_Language",
        "licences": "*:Use_Constraints//*:URL | *:Use_Constraints[starts-with(., 'http')]",
        "access_rights": ("*:Access_Constraints/*:Description", "*:Access_Constraints"),
        "issued": (f"{_CITATION}/*:Dataset_Release_Date", "*:Metadata_Dates/*:Data_Creation"),
        "modified": (
            "*:Metadata_Dates/*:Data_Last_Revision",
            "*:Metadata_Dates/*:Metadata_Last_Revision",
            "*:Last_DIF_Revision_Date",
        ),
        "keywords": [
            "*[self::*:Science_Keywords or self::*:Parameters]/*[not(self::*:Category)]",
            "*:Ancillary_Keyword | *:Keyword",
            "*:ISO_Topic_Category",
        ],
        "country_names": "*:Location/*",
        "status": "*:Dataset_Progress | *:Data_Set_Progress",
        "creators": f"{_CITATION}/*:Dataset_Creator",
    },
    {
        "periods": [
            Part(
                "*:Temporal_Coverage",
                {
                    "start": (
                        "*:Range_DateTime/*:Beginning_Date_Time",
                        "*:Single_DateTime",
                        "*:Start_Date",
                    ),
                    "end": ("*:Range_DateTime/*:Ending_Date_Time", "*:Stop_Date"),
                },
            )
        ],
        "files": [
            Part(
                "*:Related_URL",
                {
                    "access": "*:URL",
                    "title": "*:Title",
                    "description": "*:Description",
                    "form": "*:Mime_Type | *:MimeType | *:Format",
                },
            )
        ],
        # Personnel are persons, who are left out.
        "parties": [
            Part(
                "*:Organization | *:Data_Center",
                {
                    "name": (
                        "*[contains(local-name(), '_Name')]/*:Long_Name",
                        "*[contains(local-name(), '_Name')]/*:Short_Name",
                    ),
                    "page": "*:Organization_URL | *:Data_Center_URL",
                },
                Role.LEAD,
            )
        ],
    },
    root=find_element("DIF", schema="DIF", hint="set the option 'prefix' to dif or dif10"),
    options=DocumentOptions,
    untagged=frozenset({"creators"}),
    nothing=frozenset(),
).mapping()
